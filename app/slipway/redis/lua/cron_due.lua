--! needs: clock keys
--! repeatable: yes
--! shard: crons
-- Reads the due crons, the one that is due for the longest time first. A cron stays due until its run is created.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`.
-- Reply: {time in ms, fields of a cron, ...}.
-- Atomic: Removes ids of deleted crons from the index.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local answer = {integer_text(now_ms)}
local due = redis.call('ZRANGEBYSCORE', key('crons_due'), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)
for _, cron_id in ipairs(due) do
  local fields = redis.call('HGETALL', key('cron', cron_id))
  if #fields == 0 then
    redis.call('ZREM', key('crons_due'), cron_id)
  else
    answer[#answer + 1] = fields
  end
end
return answer
