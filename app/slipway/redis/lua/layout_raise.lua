--! needs: keys
--! repeatable: yes
--! shard: layout
-- Raises the numbers in the layout record; never lowers one, so that the highest of several releases wins.
--
-- ARGV[1]: the key prefix. ARGV[2]: a MessagePack map: `required` and `version` (or nil: stays as it is), and `release`,
-- the version of Slipway that raises them.
-- Replies with {required, version, release} as they are afterwards; false for what is not stored.
local args = cmsgpack.unpack(ARGV[2])
local layout = key('layout')
local stored = redis.call('HMGET', layout, 'required', 'version')
if args.required > tonumber(stored[1] or -1) then
  redis.call('HSET', layout, 'required', args.required, 'release', args.release)
end
if args.version and args.version > tonumber(stored[2] or -1) then
  redis.call('HSET', layout, 'version', args.version, 'release', args.release)
end
return redis.call('HMGET', layout, 'required', 'version', 'release')
