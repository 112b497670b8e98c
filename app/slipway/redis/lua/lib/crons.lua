--! needs: clock keys
-- The due times of crons.

-- Whether the cron still has the due time that the caller has read. A cron that was deleted and created again under the
-- same id is another one.
local function has_due_time(step)
  local fields = redis.call('HMGET', key('cron', step.cron_id), 'next_ms', 'created_us')
  return fields[1] == integer_text(step.due_ms) and fields[2] == step.incarnation
end

-- Sets the next due time; nil disables the cron. `run_id` is the run that was created for the last due time, if one
-- was.
local function set_next_due_time(cron_id, next_ms, run_id)
  local cron = key('cron', cron_id)
  if next_ms then
    redis.call('HSET', cron, 'next_ms', integer_text(next_ms))
    redis.call('ZADD', key('crons_due'), integer_text(next_ms), cron_id)
  else
    redis.call('HDEL', cron, 'next_ms')
    redis.call('ZREM', key('crons_due'), cron_id)
  end
  if run_id then
    redis.call('HSET', cron, 'last_run_id', run_id)
    redis.call('HDEL', cron, 'problem')
  end
end
