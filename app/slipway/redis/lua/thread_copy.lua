--! needs: clock keys threads
--! repeatable: yes
--! shard: thread
-- A new thread with everything another one shows but its runs; metadata may stand in for the source's. `copied_us` says
-- when the source was created, until its checkpoints are copied. Returns {'ok' or 'exists', thread fields}, {'missing'}, or {'leftovers'} when those of a
-- removed thread must go first.
local args = cmsgpack.unpack(ARGV[2])
local source, thread = key('thread', args.source), key('thread', args.thread_id)
if redis.call('EXISTS', thread) == 1 then return {'exists', redis.call('HGETALL', thread)} end
if has_leftovers(args.thread_id) then return {'leftovers'} end
local held = redis.call('HGETALL', source)
if #held == 0 then return {'missing'} end
local kept = {values = true, interrupts = true}
local rest_status
for i = 1, #held, 2 do
  local name = held[i]
  local replaced = args.metadata and string.sub(name, 1, 2) == 'm:'
  if kept[name] or (string.sub(name, 2, 2) == ':' and not replaced) then redis.call('HSET', thread, name, held[i + 1]) end
  if name == 'created_us' then redis.call('HSET', thread, 'copied_us', held[i + 1]) end
  if name == 'status' then rest_status = held[i + 1] == 'interrupted' and 'interrupted' or 'idle' end
end
for field, value in pairs(args.metadata or {}) do redis.call('HSET', thread, 'm:' .. field, value) end
redis.call('HSET', thread, 'created_us', integer_text(now_us), 'state_us', integer_text(now_us), 'status', rest_status,
  'idle_status', rest_status, 'token', args.token)
set_ttl(args.thread_id, args.ttl)
set_updated(args.thread_id)
return {'ok', redis.call('HGETALL', thread)}
