-- The names of keys. Every script that uses them gets the key prefix as ARGV[1]; the loader puts the templates of the
-- key kinds that the script uses in front of this file.

local PREFIX = ARGV[1]

local function key(kind, id)
  return PREFIX .. (id and string.format(TEMPLATES[kind], id) or TEMPLATES[kind])
end
