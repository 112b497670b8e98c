--! repeatable: yes
--! shard: thread
-- Checkpoints kept as documents, with their pending writes.
-- KEYS: the thread's counter, and, for the latest checkpoint, the pointer to it. ARGV: what leads the names of
--   checkpoints, registries, writes and pointers, most bytes of a page, then <at>, ... unless the pointer says it.
-- Answers: bytes of the thread ('' when nobody counted), how many of <at> are done, and per checkpoint that is there
--   {document, {write, ...}}.
local checkpoints, registries, writes, page_bytes = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local found, bytes, done = {}, 0, 0

local function take(at)
  local document = redis.call('JSON.GET', checkpoints .. at)
  if not document then return end
  bytes = bytes + #document
  local held = {}
  for _, name in ipairs(redis.call('ZRANGE', registries .. at, 0, -1)) do
    local write = string.sub(name, 1, #writes) == writes and redis.call('JSON.GET', name)
    if write then
      held[#held + 1] = write
      bytes = bytes + #write
    end
  end
  found[#found + 1] = {document, held}
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
