--! repeatable: yes
--! shard: thread
-- langgraph-redis: reads checkpoints with their pending writes.
--
-- KEYS: the thread's byte counter; for the latest checkpoint, the pointer to it.
-- ARGV: prefixes of checkpoints, registries, writes and pointers; most bytes of a page; without a pointer,
--   <thread>:<namespace>:<checkpoint> of each.
-- Reply: {bytes of the thread ('' if they were never counted), the number of names that were read,
--   {document, {write, ...}} for each checkpoint that exists}.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local checkpoints, registries, writes, page_bytes = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local found, bytes, done = {}, 0, 0

local function take(at)
  local document = redis.call('JSON.GET', checkpoints .. at)
  if not document then return end
  bytes = bytes + #document
  local fields = {}
  for _, name in ipairs(redis.call('ZRANGE', registries .. at, 0, -1)) do
    local write = string.sub(name, 1, #writes) == writes and redis.call('JSON.GET', name)
    if write then
      fields[#fields + 1] = write
      bytes = bytes + #write
    end
  end
  found[#found + 1] = {document, fields}
end

if KEYS[2] then
  local latest = redis.call('GET', KEYS[2])
  if latest then
    done = 1
    take(string.sub(latest, #checkpoints + 1))
  end
else
  for i = 6, #ARGV do
    if bytes >= page_bytes then break end
    take(ARGV[i])
    done = done + 1
  end
end
return {redis.call('GET', KEYS[1]) or '', done, found}
