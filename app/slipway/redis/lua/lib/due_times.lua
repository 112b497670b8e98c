--! needs: clock keys
--! rare: handled_reply set_handled set_problem
-- The due times of crons that are handled. A cron and the runs that it creates may live in different shards, so no
-- script can create a run and advance its cron. Instead the shard of the run stores, for each cron, the last due time
-- that was handled there. Due times of a cron only move forward, so this one is enough to recognise a repetition, also
-- after the run was deleted.

local HANDLED_TTL_S = 30 * 24 * 3600

-- Returns what `run_create` replies for a due time that was handled already, else nil. `due_time` is a map of
-- `cron_id`, `incarnation` and `due_ms`. The due time of an earlier cron with the same id is handled too.
local function handled_reply(due_time)
  local fields = redis.call('HMGET', key('handled_due_time', due_time.cron_id), 'incarnation', 'due_ms', 'next_ms')
  if not fields[1] then return nil end
  local newer = tonumber(fields[1]) - tonumber(due_time.incarnation)
  if newer == 0 then newer = tonumber(fields[2]) - due_time.due_ms end
  if newer < 0 then return nil end
  return newer == 0 and fields[3] and {'due_time_handled', fields[3]} or {'due_time_handled'}
end

-- Stores that a due time is handled. `next_ms` is the cron's next due time, or '' for none, as the process decided that
-- created the run; nil if no run was created because the due time was revoked.
local function set_handled(due_time, next_ms)
  local handled = key('handled_due_time', due_time.cron_id)
  redis.call('HSET', handled, 'incarnation', due_time.incarnation, 'due_ms', integer_text(due_time.due_ms))
  if next_ms then redis.call('HSET', handled, 'next_ms', next_ms) else redis.call('HDEL', handled, 'next_ms') end
  redis.call('HDEL', handled, 'problem')
  redis.call('EXPIRE', handled, HANDLED_TTL_S)
end

-- Stores why no run can be created for a due time. Returns false if that was stored already, for this cron and since
-- its last run.
local function set_problem(due_time)
  local handled, problem = key('handled_due_time', due_time.cron_id), due_time.incarnation .. ' ' .. due_time.problem
  local is_known = redis.call('HGET', handled, 'problem') == problem
  redis.call('HSET', handled, 'problem', problem)
  redis.call('EXPIRE', handled, HANDLED_TTL_S)
  return not is_known
end
