--! needs: keys
--! repeatable: yes
--! shard: layout
-- Raises the numbers in the layout record. It never lowers one, so the highest of several releases wins. The number of
-- shards is stored with the first version, and never changes.
--
-- KEYS: the record, so that a cluster finds its server; the script makes the name from the prefix.
-- ARGV: the key prefix; a MessagePack map: `required`, `version` (nil changes nothing), `release` (the version of
--   Slipway that raises them), `shards` (the number of shards of threads).
-- Reply: {required, version, release, shards} as they are afterwards; false for what is not stored.
-- Atomic: The record.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local layout = key('layout')
local stored = redis.call('HMGET', layout, 'required', 'version')
if args.required > tonumber(stored[1] or -1) then
  redis.call('HSET', layout, 'required', args.required, 'release', args.release)
end
if args.version and not stored[2] then redis.call('HSETNX', layout, 'shards', args.shards) end
if args.version and args.version > tonumber(stored[2] or -1) then
  redis.call('HSET', layout, 'version', args.version, 'release', args.release)
end
return redis.call('HMGET', layout, 'required', 'version', 'release', 'shards')
