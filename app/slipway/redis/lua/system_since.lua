--! needs: clock keys
--! repeatable: yes
--! shard: assistants
-- Since when a graph has its system assistant: noted the first time anybody asks. Returns µs since the epoch.
local args = cmsgpack.unpack(ARGV[2])
redis.call('HSETNX', key('system_assistants'), args.graph_id, integer_text(now_us))
return redis.call('HGET', key('system_assistants'), args.graph_id)
