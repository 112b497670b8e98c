-- A new thread with everything another one shows but its runs; metadata may stand in for the source's. `copied_us` says
-- when the source was created, until its checkpoints are copied. Returns {'ok' or 'exists', thread fields}, {'missing'}, or {'leftovers'} when those of a
-- removed thread must go first.
local A = cmsgpack.unpack(ARGV[2])
local source, thread = key('thread', A.source), key('thread', A.thread_id)
if redis.call('EXISTS', thread) == 1 then return {'exists', redis.call('HGETALL', thread)} end
if has_leftovers(A.thread_id) then return {'leftovers'} end
local held = redis.call('HGETALL', source)
if #held == 0 then return {'missing'} end
local kept = {values = true, interrupts = true}
local rest_status
for i = 1, #held, 2 do
  local name = held[i]
  local replaced = A.metadata and string.sub(name, 1, 2) == 'm:'
  if kept[name] or (string.sub(name, 2, 2) == ':' and not replaced) then redis.call('HSET', thread, name, held[i + 1]) end
  if name == 'created_us' then redis.call('HSET', thread, 'copied_us', held[i + 1]) end
  if name == 'status' then rest_status = held[i + 1] == 'interrupted' and 'interrupted' or 'idle' end
end
for field, value in pairs(A.metadata or {}) do redis.call('HSET', thread, 'm:' .. field, value) end
redis.call('HSET', thread, 'created_us', whole(now_us), 'state_us', whole(now_us), 'status', rest_status,
  'rest_status', rest_status, 'token', A.token)
set_ttl(A.thread_id, A.ttl)
touch(A.thread_id)
return {'ok', redis.call('HGETALL', thread)}
