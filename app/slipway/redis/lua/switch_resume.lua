--! needs: audit events keys pauses
--! repeatable: yes
--! shard: thread
-- Queues some of the runs that paused at switches which are on again, the oldest first.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`.
-- Reply: {count of queued runs, 1 if more wait else 0}.
-- Atomic: For each run: its phase, job, event, audit trail and place in the index.
-- Repeatable: Yes: a run that was queued is not in the index any more.

local args = cmsgpack.unpack(ARGV[2])
local resumed, remaining = 0, args.limit
local switches = redis.call('HGETALL', key('resuming_switches'))
for i = 1, #switches, 2 do
  local switch, by = switches[i], switches[i + 1]
  local run_ids = redis.call('ZRANGE', key('switch_runs', switch), 0, remaining - 1)
  for _, run_id in ipairs(run_ids) do
    redis.call('ZREM', key('switch_runs', switch), run_id)
    local fields = redis.call('HMGET', key('run', run_id), 'phase', 'switch', 'thread_id', 'operator_pause')
    if fields[1] == 'paused' and fields[2] == switch then
      redis.call('HDEL', key('run', run_id), 'switch')
      append_audit(run_id, 'switch.enabled', by, cjson.encode({switch = switch}))
      if fields[4] then
        redis.call('HSET', key('run', run_id), 'reason', operator_pause_of(fields[4]).reason)
      else
        local reason = switch .. ' was switched on by ' .. by
        queue_paused_run(run_id, fields[3], reason)
        append_events(run_id, {notice_event('run.resumed', reason)})
        resumed = resumed + 1
      end
    end
  end
  remaining = remaining - #run_ids
  if redis.call('EXISTS', key('switch_runs', switch)) == 0 then redis.call('HDEL', key('resuming_switches'), switch) end
  if remaining <= 0 then break end
end
return {resumed, redis.call('EXISTS', key('resuming_switches'))}
