--! needs: clock keys
--! repeatable: yes
--! shard: store
-- Items of one namespace by their keys, '' for each that is missing or expired. With `refresh` their time begins anew.
local args = cmsgpack.unpack(ARGV[2])
local items, answer = key('store_items', args.ns), {}
for i, name in ipairs(args.keys) do
  local held = redis.call('HGET', items, name) or ''
  local created, updated, expires, ttl_ms, at = string.match(held, '^(%d+)|(%d+)|(%d+)|(%d+)|()')
  if held ~= '' and expires ~= '0' then
    if tonumber(expires) <= now_ms then
      held = ''
    elseif args.refresh then
      local later = integer_text(now_ms + ttl_ms)
      redis.call('HSET', items, name,
        created .. '|' .. updated .. '|' .. later .. '|' .. ttl_ms .. '|' .. string.sub(held, at))
      redis.call('ZADD', key('store_expiry'), later, args.ns .. '\0' .. name)
    end
  end
  answer[i] = held
end
return answer
