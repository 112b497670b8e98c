--! needs: keys
--! rare: append_audit
-- The audit trail of a run: a stream. See `runs/audit.py`.

-- Appends an entry. `details` is a JSON object. The caller makes sure that the run exists: its deletion deletes the
-- trail.
local function append_audit(run_id, action, actor, details)
  redis.call('XADD', key('run_audit', run_id), '*', 'action', action, 'actor', actor, 'details', details)
end
