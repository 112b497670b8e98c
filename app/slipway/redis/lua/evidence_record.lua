--! needs: keys
--! repeatable: yes
--! shard: processes
-- Stores evidence for the checklist of the doctor, unless that on file is of a later time.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `kind`, `stored` (the JSON), `replace` (whatever is on file).
-- Reply: the JSON that is on file afterwards.
-- Atomic: The comparison and the write.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local evidence = key('evidence')
local on_file = redis.call('HGET', evidence, args.kind)
if on_file and not args.replace and cjson.decode(on_file).at_us > cjson.decode(args.stored).at_us then
  return on_file
end
redis.call('HSET', evidence, args.kind, args.stored)
return args.stored
