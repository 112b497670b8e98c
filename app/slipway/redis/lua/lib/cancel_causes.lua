--! rare: cancel_error
-- Why a run is cancelled.

-- `cause` is a sentence of the server, `reason` the text of the client or nil.
local function set_cancel_cause(run, cause, reason)
  redis.call('HSET', run, 'cancel_cause', cause)
  if reason then redis.call('HSET', run, 'cancel_reason', reason) else redis.call('HDEL', run, 'cancel_reason') end
end

local function superseded_cause(run_id, strategy)
  return 'superseded by run ' .. run_id .. ' (multitask_strategy=' .. strategy .. ')'
end

-- The error, as JSON, that a thread shows after its last run was cancelled while it executed.
local function cancel_error(run)
  local fields = redis.call('HMGET', run, 'cancel_action', 'cancel_cause', 'cancel_reason')
  local message = (fields[2] or 'cancelled') .. (fields[3] and ': ' .. fields[3] or '')
  return cjson.encode({error = fields[1] == 'rollback' and 'UserRollback' or 'UserInterrupt', message = message})
end
