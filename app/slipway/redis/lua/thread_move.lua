--! needs: audit concurrency_groups events fencing keys pauses queue redis_commands threads
--! repeatable: no
--! shard: thread
-- Moves a thread to a version of its graph: the pin, and the checkpoints that were rewritten for that version. Either
-- for the attempt that is about to execute its run, or for an operator while no run of it executes; then its queued and
-- paused runs move with it: one that waits in the lane of another version leaves it, and one that is held is queued.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `thread_id`, `graph_id`, `owner` (map of the attempt: `run_id`, `attempt`,
--   `incarnation`; nil for an operator), `incarnation` (the creation time of the thread in µs; nil for an attempt),
--   `expected` (map: fields of the thread that must not have changed; '' for one that must not exist), `version` and
--   `schema` (the new pin), `move` (JSON: the entry of its moves), `original` (ids of the rewritten checkpoint and of
--   the one it was made from, or nil), `value_terms` (packed, of the new values, or nil); the new values or ''; its
--   interrupts, which must not have changed, and those by the new ids of their tasks, or '' and ''; then the commands
--   that store the checkpoints: each is its count of words, then its words.
-- Reply: 'ok'; 'fenced' if the attempt does not own its run; 'deleted' if the thread was deleted, or deleted and
--   created again; 'busy' if one of its runs executes; 'changed' if a field is not as expected.
-- Atomic: The checks, the pin, the checkpoints, the values, the interrupts, the runs with their jobs, the entries.
-- Repeatable: No: the commands may count bytes.

local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
local MOST_MOVES = 20
if args.owner then
  if not owned_run(args.owner.run_id, args.owner.attempt, args.owner.incarnation) then return 'fenced' end
else
  local fields = redis.call('HMGET', thread, 'created_us', 'active_run_id')
  if fields[1] ~= args.incarnation then return 'deleted' end
  if fields[2] then return 'busy' end
end
for name, expected in pairs(args.expected) do
  if (redis.call('HGET', thread, name) or '') ~= expected then return 'changed' end
end
if ARGV[4] ~= '' and redis.call('HGET', thread, 'interrupts') ~= ARGV[4] then return 'changed' end

-- Lets a run of the graph that is not under way continue on the new version.
local function move_run(run_id, by)
  local run = key('run', run_id)
  if redis.call('HGET', run, 'graph_id') ~= args.graph_id then return end
  redis.call('HSET', run, 'version', args.version)
  append_audit(run_id, 'thread.moved', by, args.move)
  local phase, lane, held, exhausted, operator_pause = unpack(redis.call('HMGET', run, 'phase', 'lane', 'held',
    'error', 'operator_pause'))
  if phase == 'queued' and lane then
    redis.call('HDEL', run, 'reason')
    delete_job(run_id)
    enqueue_next_run(args.thread_id)
  elseif phase == 'paused' and held and not exhausted and not operator_pause then
    local reason = 'its thread was moved to version ' .. args.version
    queue_paused_run(run_id, args.thread_id, reason)
    append_events(run_id, {notice_event('run.resumed', reason)})
  end
end

execute_commands(6)
local moves = cjson.decode(redis.call('HGET', thread, 'moves') or '[]')
moves[#moves + 1] = cjson.decode(args.move)
if #moves > MOST_MOVES then table.remove(moves, 1) end
redis.call('HSET', thread, 'version', args.version, 'schema', args.schema, 'version_graph', args.graph_id,
  'moves', cjson.encode(moves))
if args.original then redis.call('HSET', thread, 'original', args.original) end
if ARGV[5] ~= '' then redis.call('HSET', thread, 'interrupts', ARGV[5]) end
if args.owner then append_audit(args.owner.run_id, 'thread.moved', 'slipway', args.move) end
for _, run_id in ipairs(args.owner and {} or redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, -1)) do
  move_run(run_id, moves[#moves].by)
end
if args.value_terms then
  redis.call('HSET', thread, 'values', ARGV[3])
  replace_value_terms(args.thread_id, args.value_terms)
  set_updated(args.thread_id)
end
return 'ok'
