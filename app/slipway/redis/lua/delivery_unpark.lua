--! needs: delivery_targets
--! repeatable: yes
--! shard: thread
-- Makes parked deliveries of a target due, because it has free calls.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `target_id`, `most`.
-- Reply: how many were parked and are due now.
-- Atomic: All of them.
-- Repeatable: Yes: what a repetition makes due is parked again, if the target has no free call.

local args = cmsgpack.unpack(ARGV[2])
return unpark_deliveries(args.target_id, args.most)
