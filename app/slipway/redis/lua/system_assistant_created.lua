--! needs: clock keys
--! repeatable: yes
--! shard: assistants
-- Reads when a graph got its system assistant, and stores the time at the first call.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `graph_id`.
-- Reply: time in µs.
-- Atomic: The check and the first write.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
redis.call('HSETNX', key('system_assistants'), args.graph_id, integer_text(now_us))
return redis.call('HGET', key('system_assistants'), args.graph_id)
