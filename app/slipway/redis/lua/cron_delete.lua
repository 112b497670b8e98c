--! needs: cron_deletion
--! repeatable: no
--! shard: crons
-- Deletes a cron. Runs that it created stay.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`.
-- Reply: 1; 0 if there is no such cron.
-- Atomic: The record, the indexes, and the list of the thread's crons.
-- Repeatable: No: a repetition replies 0.

local args = cmsgpack.unpack(ARGV[2])
return delete_cron(args.cron_id)
