--! needs: clock keys thread_deletion threads
--! repeatable: yes
--! shard: thread
-- Deletes expired threads, from the one that expired first, and finds those whose checkpoints are to be pruned. A busy
-- thread waits for the next sweep.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`, `pruned` ({thread, creation time in µs} of each thread that was
--   pruned: its time to live starts again).
-- Reply: {deleted ids, {id to prune, its creation time in µs, ...}, the number of busy threads, {id of a deleted
--   thread that may have crons, its creation time in µs, ...}}.
-- Atomic: All threads of one call.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
-- the first write must not need memory: a full Redis rejects a script if its first write does
redis.call('ZREM', key('leases'), '')
for _, pair in ipairs(args.pruned) do
  local thread_id = pair[1]
  local fields = redis.call('HMGET', key('thread', thread_id), 'created_us', 'ttl')
  local minutes = fields[2]
  if fields[1] and fields[1] ~= pair[2] then
    -- the thread was deleted and created again
  elseif minutes then
    set_ttl(thread_id, {minutes = minutes, strategy = 'keep_latest', ms = math.ceil(tonumber(minutes) * 60000)})
  else
    redis.call('ZREM', key('threads_due'), thread_id)
  end
end
local deleted, to_prune, busy, with_crons = {}, {}, 0, {}
local due = redis.call('ZRANGEBYSCORE', key('threads_due'), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)
for _, thread_id in ipairs(due) do
  local fields = redis.call('HMGET', key('thread', thread_id), 'status', 'ttl_strategy', 'created_us', 'has_crons')
  if not fields[1] or not fields[2] then
    redis.call('ZREM', key('threads_due'), thread_id)
  elseif fields[1] == 'busy' then
    redis.call('ZADD', key('threads_due'), integer_text(now_ms), thread_id)
    busy = busy + 1
  elseif fields[2] == 'keep_latest' then
    to_prune[#to_prune + 1] = thread_id
    to_prune[#to_prune + 1] = fields[3]
  else
    delete_thread(thread_id)
    deleted[#deleted + 1] = thread_id
    if fields[4] then
      with_crons[#with_crons + 1] = thread_id
      with_crons[#with_crons + 1] = fields[3]
    end
  end
end
return {deleted, to_prune, busy, with_crons}
