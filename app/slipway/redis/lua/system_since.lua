-- Since when a graph has its system assistant: noted the first time anybody asks. Returns µs since the epoch.
local A = cmsgpack.unpack(ARGV[2])
redis.call('HSETNX', key('system_assistants'), A.graph_id, whole(now_us))
return redis.call('HGET', key('system_assistants'), A.graph_id)
