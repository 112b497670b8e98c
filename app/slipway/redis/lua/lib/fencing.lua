--! needs: keys
-- Fencing: whether an attempt may still write, and which of its write groups is the next.

-- Returns the number of the run's last write group, its cancel action, its thread, the id of its last event, its
-- concurrency groups as stored, the state of its webhook and its trace, if this attempt owns the run, else nil.
-- `incarnation` (creation time in µs) must match as well: after a run was deleted, a new run can have the same id and
-- the same attempt number.
local function owned_run(run_id, attempt, incarnation)
  local fields = redis.call('HMGET', key('run', run_id), 'attempt', 'phase', 'last_group', 'cancel_action', 'thread_id',
    'created_us', 'last_event', 'groups', 'webhook', 'trace')
  if fields[1] ~= tostring(attempt) or fields[2] ~= 'running' or fields[6] ~= incarnation then return nil end
  return {seq = tonumber(fields[3]), cancel = fields[4], thread_id = fields[5], last_event = fields[7],
    groups = fields[8], webhook = fields[9], trace = fields[10]}
end

-- Returns true for the next write group, false for a repetition, nil if a write group before it is missing. One is
-- missing if Redis rejected it and it will be sent again, or if Redis lost it: a restart or a failover can lose
-- acknowledged writes. In the second case the attempt must stop, because its log would have a gap.
local function is_next_write_group(owned, number)
  if number <= owned.seq then return false end
  if number == owned.seq + 1 then return true end
  return nil
end
