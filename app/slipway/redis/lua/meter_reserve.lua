--! needs: fencing metering
--! repeatable: yes
--! shard: thread
-- Stores what a chain has used of models and tools, with the most that a call may use that is about to be made.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `attempt`, `incarnation`, `metered` (the text that is stored).
-- Reply: 1; 0 if the attempt no longer owns its run.
-- Atomic: The usage of the chain.
-- Repeatable: Yes: a text that is not newer than what is stored changes nothing.

local args = cmsgpack.unpack(ARGV[2])
if not owned_run(args.run_id, args.attempt, args.incarnation) then return 0 end
store_metered(args.run_id, args.metered)
return 1
