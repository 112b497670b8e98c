--! needs: keys shared_records switches
--! repeatable: yes
--! shard: thread
-- Switches something on. `switch_resume.lua` then queues the runs that paused there. The first shard decides; the
-- others get a copy.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `switch` (its key), `by` (the operator).
-- Reply: {'ok'}; {'unchanged'} if it is on.
-- Atomic: The switch, and that its runs in this shard are to be resumed.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
if not set_switch_on(args.switch, args.by) then return {'unchanged'} end
note_shared_change('switch', args.switch, args.by)
redis.call('PUBLISH', key('switch_changes'), args.switch)
return {'ok'}
