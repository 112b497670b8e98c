-- The phases of a run: see docs/state-machine.md.

-- Whether a run with this phase executes, or will execute, without a new request.
local function is_in_progress(phase)
  return phase == 'queued' or phase == 'running' or phase == 'paused'
end

-- Whether a run with this phase has ended.
local function is_final(phase)
  return phase == 'completed' or phase == 'failed' or phase == 'cancelled'
end
