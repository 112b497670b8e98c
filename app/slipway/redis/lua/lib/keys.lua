-- The names of keys. Every script that uses them gets the key prefix as ARGV[1]. The loader replaces a call whose kind
-- is a literal by an expression; for other calls it puts the templates of the kinds in front of this file.

local PREFIX = ARGV[1]

-- Whether there is one shard, which has all keys: the key prefixes of several shards have hash tags.
local function is_only_shard()
  return string.sub(PREFIX, -1) ~= '}'
end

local function key(kind, id)
  return PREFIX .. (id and string.format(TEMPLATES[kind], id) or TEMPLATES[kind])
end
