--! needs: cron_deletion crons keys
--! repeatable: no
--! shard: crons
-- Deletes a cron. Runs that it created stay.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `incarnation` (creation time in µs that the cron must have, or
--   nil).
-- Reply: {'ok', creation time in µs, due time in ms (false if it had not come), thread or ''}; {'missing'}.
-- Atomic: The record, the indexes, and the list of the thread's crons.
-- Repeatable: No: a repetition replies 'missing'.

local args = cmsgpack.unpack(ARGV[2])
local incarnation = redis.call('HGET', key('cron', args.cron_id), 'created_us')
if not incarnation or (args.incarnation and args.incarnation ~= incarnation) then return {'missing'} end
local thread_id = redis.call('HGET', key('cron', args.cron_id), 'thread_id')
local reply = {'ok', incarnation, due_now(args.cron_id), thread_id or ''}
delete_cron(args.cron_id)
return reply
