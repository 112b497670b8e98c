--! needs: keys shared_records switches
--! repeatable: yes
--! shard: thread
-- Switches something off: runs pause before it. The first shard decides; the others get a copy.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `switch` (its key), `stored` (JSON: see `switches/record.py`).
-- Reply: {'ok', stored}; {'unchanged', stored} with the stored switch if it is off already.
-- Atomic: The switch and, in this shard, the end of a resumption that is in progress.
-- Repeatable: Yes: the first call sets who switched it off, and why.

local args = cmsgpack.unpack(ARGV[2])
local stored = redis.call('HGET', key('switches'), args.switch)
if stored then return {'unchanged', stored} end
set_switch_off(args.switch, args.stored)
note_shared_change('switch', args.switch)
redis.call('PUBLISH', key('switch_changes'), args.switch)
return {'ok', args.stored}
