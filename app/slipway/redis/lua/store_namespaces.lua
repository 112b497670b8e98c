--! needs: keys
--! repeatable: yes
--! shard: store
-- Lists namespaces, each cut to its first labels. After one, all that begin with the same labels are skipped at once.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `first`, `last` (bounds of the names, as for ZRANGEBYLEX), `depth` (labels
--   to keep), `offset`, `limit`.
-- Reply: the names, sorted, each with a dot at its end.
-- Atomic: The reads.
-- Repeatable: Yes: it changes nothing.

local args = cmsgpack.unpack(ARGV[2])
local found, skipped, first = {}, 0, args.first

-- The first labels of a name, and where the names begin that have other ones.
local function cut(name)
  local length = 0
  for _ = 1, args.depth do
    length = string.find(name, '.', length + 1, true)
    if not length then return name, '(' .. name end
  end
  return string.sub(name, 1, length), '(' .. string.sub(name, 1, length - 1) .. '/' -- "/" follows "." in ASCII
end

while #found < args.limit do
  local name = redis.call('ZRANGEBYLEX', key('store_namespaces'), first, args.last, 'LIMIT', 0, 1)[1]
  if not name then break end
  local labels
  labels, first = cut(name)
  if skipped < args.offset then skipped = skipped + 1 else found[#found + 1] = labels end
end
return found
