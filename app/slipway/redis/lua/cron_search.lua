--! needs: index_walk
--! repeatable: yes
--! shard: crons
--! keys: crons crons_by crons_with
-- Finds crons in the indexes of crons.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `lib/index_walk.lua`.
-- Reply: See `lib/index_walk.lua`.
-- Atomic: The reads of one call.
-- Repeatable: Yes: it changes nothing.

return walk_index(cmsgpack.unpack(ARGV[2]))
