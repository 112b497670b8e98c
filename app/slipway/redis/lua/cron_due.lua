-- The crons that are due, the longest due first. Returns {now in ms, fields, …}. They stay due until their run is made.
local A = cmsgpack.unpack(ARGV[2])
local answer = {whole(now_ms)}
for _, cron_id in ipairs(redis.call('ZRANGEBYSCORE', key('crons_due'), '-inf', whole(now_ms), 'LIMIT', 0, A.limit)) do
  local held = redis.call('HGETALL', key('cron', cron_id))
  if #held == 0 then
    redis.call('ZREM', key('crons_due'), cron_id)
  else
    answer[#answer + 1] = held
  end
end
return answer
