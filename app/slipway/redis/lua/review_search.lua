--! needs: index_walk
--! repeatable: yes
--! shard: thread
--! keys: reviews reviews_by_due reviews_with
-- Finds reviews in the indexes of reviews.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `lib/index_walk.lua`.
-- Reply: See `lib/index_walk.lua`.
-- Atomic: The reads of one call.
-- Repeatable: Yes: it changes nothing.

return walk_index(cmsgpack.unpack(ARGV[2]))
