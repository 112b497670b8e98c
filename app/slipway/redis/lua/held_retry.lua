--! needs: clock events keys pauses pins versions
--! repeatable: yes
--! shard: thread
-- Queues the oldest runs that are held, because their threads may be continued now.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`, `until_ms` (only runs that were held before; nil for now),
--   `reason`, `choices` (map of graph to the members of `VersionChoice`, by which a run that is to continue on any
--   version gets one anew; without members the claim chooses; runs of other graphs keep theirs).
-- Reply: {count of queued runs, 1 if more wait else 0, `until_ms`}.
-- Atomic: For each run: its phase, job, event and place in the index.
-- Repeatable: Yes: a run that was queued is not in the index any more.

local args = cmsgpack.unpack(ARGV[2])
local until_ms, queued = args.until_ms or integer_text(now_ms), 0
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key('held_runs'), '-inf', until_ms, 'LIMIT', 0, args.limit)) do
  local run = key('run', run_id)
  local phase, thread_id, operator_pause, fixed, graph_id, continues = unpack(redis.call('HMGET', run, 'phase',
    'thread_id', 'operator_pause', 'version_fixed', 'graph_id', 'continues'))
  redis.call('ZREM', key('held_runs'), run_id)
  if phase == 'paused' and not operator_pause then
    local choice = args.choices[graph_id]
    if choice and not fixed then
      redis.call('HDEL', run, 'version')
      local pinned = pin_for(graph_id, unpack(redis.call('HMGET', key('thread', thread_id), 'version_graph',
        'version', 'schema')))
      local version = next(choice) and choose_version(graph_id, choice, pinned, {id = thread_id,
        open = continues == '1'})
      if version then redis.call('HSET', run, 'version', version) end
    end
    queue_paused_run(run_id, thread_id, args.reason)
    append_events(run_id, {notice_event('run.resumed', args.reason)})
    queued = queued + 1
  end
end
return {queued, redis.call('ZCOUNT', key('held_runs'), '-inf', until_ms) > 0 and 1 or 0, until_ms}
