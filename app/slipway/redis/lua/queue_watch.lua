--! needs: clock keys queue
--! repeatable: yes
--! shard: thread
-- Wakes a worker if a due job waits that nobody has claimed, or slots of a concurrency group that nobody exchanges:
-- the worker that was woken for it may have died, or its connection has lost the message.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: 1 if a due job waits and no worker could be woken, else 0.
-- Atomic: Which worker waits.
-- Repeatable: Yes: a second worker finds no job.

local function has_due_job()
  if redis.call('EXISTS', key('queue'), key('suspect_queue')) > 0 then return true end
  return redis.call('ZCOUNT', key('later_queue'), '-inf', integer_text(now_ms)) > 0
    or redis.call('ZCOUNT', key('group_exchanges'), '-inf', integer_text(now_ms)) > 0
end

return has_due_job() and not wake_worker() and 1 or 0
