--! needs: admission
--! repeatable: no
--! shard: thread
-- Admits what a request stores, or rejects it because Redis is short of memory.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `mark` (the high-water mark), `sharing` (how many shards share
--   the server), `bytes`.
-- Reply: the bytes that the process may store before it asks again; an error `OVERLOADED` if there is no room, with the
--   used, the reserved and the permitted part of the memory.
-- Atomic: The check and the subtraction.
-- Repeatable: No: the bytes would be subtracted twice. The next measurement corrects it.

local args = cmsgpack.unpack(ARGV[2])
local rejected, credit = admit(args.mark, args.sharing, args.bytes, nil)
if rejected then return rejected end
return credit
