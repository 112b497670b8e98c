--! needs: clock keys
-- The due times of crons.

-- Whether the cron still has the due time that the caller has read. A cron that was deleted and created again under the
-- same id is another one.
local function has_due_time(step)
  local fields = redis.call('HMGET', key('cron', step.cron_id), 'next_ms', 'created_us')
  return fields[1] == integer_text(step.due_ms) and fields[2] == step.incarnation
end

-- The due time in ms that has come and for which no run was created yet; false if there is none. A worker may be
-- creating its run.
local function due_now(cron_id)
  local next_ms = redis.call('HGET', key('cron', cron_id), 'next_ms')
  return next_ms and tonumber(next_ms) <= now_ms and next_ms
end

-- Sets the next due time; nil if the cron has none.
local function set_next_due_time(cron_id, next_ms)
  local cron = key('cron', cron_id)
  if next_ms then
    redis.call('HSET', cron, 'next_ms', integer_text(next_ms))
    redis.call('ZADD', key('crons_by', 'next_run_date'), integer_text(next_ms), cron_id)
    redis.call('ZADD', key('crons_due'), integer_text(next_ms), cron_id)
  else
    redis.call('HDEL', cron, 'next_ms')
    redis.call('ZADD', key('crons_by', 'next_run_date'), -1, cron_id)
    redis.call('ZREM', key('crons_due'), cron_id)
  end
end
