--! needs: keys terms threads
--! repeatable: yes
--! shard: thread
-- Compares the indexes of threads with records of threads, and indexes the threads again on request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `threads` ({id, time of the last change in µs or '', packed terms of the
--   metadata, packed terms of the values} of each, as they follow from the record), `repair`.
-- Reply: {ids of the threads that the indexes do not show as their records are, ids of the threads that have changed
--   since the terms were computed}.
-- Atomic: All threads of one call.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local STATUSES = {'idle', 'busy', 'interrupted', 'error'}

-- Whether both have the same terms, in any order.
local function same_terms(stored, terms)
  if stored == terms then return true end
  if not stored or #stored ~= #terms then return false end
  for i = 1, #terms, TERM_LENGTH do
    if not string.find(stored, string.sub(terms, i, i + TERM_LENGTH - 1), 1, true) then return false end
  end
  return true
end

local function are_indexed(thread_id, terms, score)
  for i = 1, #terms, TERM_LENGTH do
    local term = string.sub(terms, i, i + TERM_LENGTH - 1)
    if redis.call('ZSCORE', key('threads_with', term), thread_id) ~= score then return false end
  end
  return true
end

local function is_indexed(thread_id, fields, terms, value_terms)
  local status, created_us, updated_us = fields[1], fields[2], fields[3]
  if not same_terms(fields[5], terms) or not same_terms(fields[6] or '', value_terms) then return false end
  for _, each in ipairs(STATUSES) do
    local score = redis.call('ZSCORE', key('threads_with', each), thread_id)
    if score ~= (each == status and updated_us) then return false end
  end
  return redis.call('ZSCORE', key('threads'), thread_id) == updated_us
    and redis.call('ZSCORE', key('threads_created'), thread_id) == created_us
    and redis.call('ZSCORE', key('threads_state'), thread_id) == fields[4]
    and redis.call('ZSCORE', key('threads_ids'), thread_id) == '0'
    and are_indexed(thread_id, terms, updated_us) and are_indexed(thread_id, value_terms, updated_us)
end

local function index_again(thread_id, fields, terms, value_terms)
  unindex_terms(thread_id, fields[5] or '', terms)
  unindex_terms(thread_id, fields[6] or '', value_terms)
  for _, each in ipairs(STATUSES) do
    if each ~= fields[1] then redis.call('ZREM', key('threads_with', each), thread_id) end
  end
  redis.call('HSET', key('thread', thread_id), 'terms', terms, 'value_terms', value_terms)
  redis.call('ZADD', key('threads_with', fields[1]), fields[3], thread_id)
  redis.call('ZADD', key('threads'), fields[3], thread_id)
  redis.call('ZADD', key('threads_created'), fields[2], thread_id)
  redis.call('ZADD', key('threads_state'), fields[4], thread_id)
  redis.call('ZADD', key('threads_ids'), 0, thread_id)
  index_terms(thread_id, terms, fields[3])
  index_terms(thread_id, value_terms, fields[3])
end

local wrong, changed = {}, {}
for _, each in ipairs(args.threads) do
  local thread_id, read_us, terms, value_terms = unpack(each)
  local fields = redis.call('HMGET', key('thread', thread_id), 'status', 'created_us', 'updated_us', 'state_us',
    'terms', 'value_terms')
  if not fields[1] then
    -- there is no such thread: nothing but the orders can name it, or a set that `thread_index_set.lua` reads
    if redis.call('ZSCORE', key('threads'), thread_id) or redis.call('ZSCORE', key('threads_ids'), thread_id) then
      wrong[#wrong + 1] = thread_id
      if args.repair then unindex_thread(thread_id) end
    end
  elseif (fields[3] or '') ~= read_us then
    changed[#changed + 1] = thread_id
  else
    fields[3] = fields[3] or fields[2]
    fields[4] = fields[4] or fields[2]
    -- a record that once had too many terms, or none, keeps the widest one: it is found, and a repair narrows it
    if fields[5] == ANY_METADATA and not args.repair then terms = ANY_METADATA end
    if has_many(fields[5] or '') and not args.repair then terms = many_terms(terms) end
    if not is_indexed(thread_id, fields, terms, value_terms) then
      wrong[#wrong + 1] = thread_id
      if args.repair then index_again(thread_id, fields, terms, value_terms) end
    end
  end
end
return {wrong, changed}
