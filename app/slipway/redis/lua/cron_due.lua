--! needs: clock keys
--! repeatable: yes
--! shard: crons
-- The crons that are due, the longest due first. Returns {now in ms, fields, …}. They stay due until their run is made.
local args = cmsgpack.unpack(ARGV[2])
local answer = {integer_text(now_ms)}
for _, cron_id in ipairs(redis.call('ZRANGEBYSCORE', key('crons_due'), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)) do
  local held = redis.call('HGETALL', key('cron', cron_id))
  if #held == 0 then
    redis.call('ZREM', key('crons_due'), cron_id)
  else
    answer[#answer + 1] = held
  end
end
return answer
