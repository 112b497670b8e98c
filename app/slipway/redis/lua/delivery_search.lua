--! needs: index_walk
--! repeatable: yes
--! shard: thread
--! keys: deliveries_all deliveries_with
-- Finds deliveries in the index of deliveries.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `lib/index_walk.lua`.
-- Reply: See `lib/index_walk.lua`.
-- Atomic: The reads of one call.
-- Repeatable: Yes: it changes nothing.

return walk_index(cmsgpack.unpack(ARGV[2]))
