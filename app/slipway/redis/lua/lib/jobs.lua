-- The name of a job in the queues: `<run id>:<attempt>`.

local function job_name(run_id, attempt) return run_id .. ':' .. attempt end

-- Returns nil if the text is not the name of a job.
local function split_job(job) return string.match(job, '^(.*):(%d+)$') end
