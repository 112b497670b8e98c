-- The time of Redis. It decides about leases, due times and the order of runs, so clocks of other machines do not
-- matter.

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now_ms = math.floor(now_us / 1000)

-- For replies and for texts that are put together: there, Lua would write large numbers as 1.7e+15. `redis.call` writes
-- integers in full.
local function integer_text(number) return string.format('%.0f', number) end
