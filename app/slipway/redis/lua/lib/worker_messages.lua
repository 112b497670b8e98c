--! needs: keys
-- Messages to the worker that executes a run.

-- Sends an instruction about a run. The creation time of the run is sent too: after a deletion, another run can have
-- the same id by an idempotency key.
local function send_to_worker(worker, run_id, instruction)
  local created_us = redis.call('HGET', key('run', run_id), 'created_us')
  redis.call('PUBLISH', key('control', worker), run_id .. '@' .. created_us .. ' ' .. instruction)
end
