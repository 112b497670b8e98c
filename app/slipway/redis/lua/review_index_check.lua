--! needs: clock index_entries index_problems keys reviews terms
--! repeatable: yes
--! shard: thread
--! keys: reviews reviews_by_due reviews_due reviews_of_graph reviews_with
-- Compares reviews with their indexes and with their runs, and repairs them on request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `records` ({review, its revision, its index terms} of each review; one that
--   has changed since is skipped), `entries` ({key of the set, review} of each entry whose review must have it),
--   `repair`.
-- Reply: {problem, id} for each problem: 'review_not_indexed', 'review_indexed_wrongly', 'review_without_run',
--   'review_of_run_that_is_over' or 'review_not_resumed'.
-- Atomic: All of it.
-- Repeatable: Yes: a repaired problem is not found again.

local args = cmsgpack.unpack(ARGV[2])

local function fields_of(id)
  return redis.call('HMGET', key('review', id), 'due_us', 'remind_us', 'escalate_us', 'follow_up_us', 'state',
    'created_us', 'graph_id', 'terms', 'revision', 'run_id', 'interrupt_id')
end

-- The entries that a review must have; none if it does not exist.
local function review_entries(id, fields)
  local state, created_us, graph_id, terms = fields[5], fields[6], fields[7], fields[8]
  if not state then return {} end
  local entries = {{key('reviews'), id, created_us}, {key('reviews_with', state), id, created_us}}
  for i = 1, #terms, TERM_LENGTH do
    entries[#entries + 1] = {key('reviews_with', string.sub(terms, i, i + TERM_LENGTH - 1)), id, created_us}
  end
  if not UNDECIDED[state] then return entries end
  local score, first_ms = due_score(created_us, fields[1]), first_time_ms(fields)
  entries[#entries + 1] = {key('reviews_by_due'), id, score}
  entries[#entries + 1] = {key('reviews_of_graph', graph_id), id, score}
  if first_ms then entries[#entries + 1] = {key('reviews_due'), id, first_ms} end
  return entries
end

local function check_entries(id, fields, terms)
  local entries = review_entries(id, fields)
  if fields[8] == terms and are_stored(entries) then return end
  if not record_index_problem('review_not_indexed', id, args.repair) then return end
  remove_entries(entries)
  redis.call('HSET', key('review', id), 'terms', terms)
  add_entries(review_entries(id, fields_of(id)))
end

-- A review that can still change must be one of a waiting run, and a run with all answers must be resumed.
local function check_state(id, fields, phase, reviews)
  local state, run_id, interrupt_id = fields[5], fields[10], fields[11]
  if not PENDING[state] then return end
  if phase ~= 'waiting_for_approval' then
    if record_index_problem('review_of_run_that_is_over', id, args.repair) then
      end_reviews(run_id, interrupt_id, 'its run waits no more')
    end
  elseif state == 'held' and reviews and not redis.call('ZSCORE', key('reviews_ready'), run_id)
      and is_answered(run_id, reviews) and record_index_problem('review_not_resumed', id, args.repair) then
    redis.call('ZADD', key('reviews_ready'), integer_text(now_ms), run_id)
  end
end

for _, record in ipairs(args.records) do
  local id, revision, terms = unpack(record)
  local fields = fields_of(id)
  if fields[5] and fields[9] == revision then
    local phase, reviews = unpack(redis.call('HMGET', key('run', fields[10]), 'phase', 'reviews'))
    if phase then
      check_entries(id, fields, terms)
      check_state(id, fields, phase, reviews)
    elseif record_index_problem('review_without_run', id, args.repair) then
      delete_reviews(fields[10], fields[11])
    end
  end
end

for _, entry in ipairs(args.entries) do
  local set, id = unpack(entry)
  if redis.call('ZSCORE', set, id) and not has_entry(review_entries(id, fields_of(id)), set, id)
      and record_index_problem('review_indexed_wrongly', id, args.repair) then
    redis.call('ZREM', set, id)
  end
end
return index_problems
