--! needs: clock concurrency_groups jobs keys
--! repeatable: yes
--! shard: thread
-- Gives a shard its slots of a concurrency group, or takes back free ones, and says what it has and wants.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `group`; `slots` and `revision` (what the shard of limits has decided, or
--   nil), `owed` (how many slots it is to give back, now or when runs end, or nil), `until_ms` (the exchange that a
--   worker has finished, or nil).
-- Reply: {slots, revision, '1' if jobs are parked for lack of slots else '', the limit of the group or ''}.
-- Atomic: The slots, and the jobs that are queued for them.
-- Repeatable: Yes: a revision is only replaced by a higher one.

local args = cmsgpack.unpack(ARGV[2])
local hash, parked_jobs = key('group_slots', args.group), key('parked_queue', args.group)
local slots, revision, owed, kept_until_ms = unpack(redis.call('HMGET', hash, 'slots', 'revision', 'owed',
  'kept_until_ms'))
slots, revision, owed = tonumber(slots) or 0, tonumber(revision) or 0, tonumber(owed) or 0
kept_until_ms = tonumber(kept_until_ms) or 0
if args.revision and args.revision > revision then slots, revision = args.slots, args.revision end
owed = args.owed or owed
local free = math.max(slots - redis.call('SCARD', key('group_runs', args.group)), 0)
if owed > 0 and free > 0 and now_ms >= kept_until_ms then
  local back = math.min(owed, free)
  slots, owed, free = slots - back, owed - back, free - back
end
redis.call('HSET', hash, 'slots', slots, 'revision', revision, 'owed', owed)
local first = redis.call('ZRANGE', parked_jobs, 0, 0)[1]
local limit = ''
if first then
  for _, pair in ipairs(concurrency_groups_of((split_job(first)))) do
    if pair[1] == args.group then limit = tostring(pair[2]) end
  end
  local queued = math.min(free, redis.call('ZCARD', parked_jobs))
  for _ = 1, queued do requeue_parked_job(args.group) end
  if queued > 0 then redis.call('HSET', hash, 'kept_until_ms', integer_text(now_ms + SLOT_KEPT_MS)) end
end
local wants = redis.call('EXISTS', parked_jobs) == 1
if args.until_ms and redis.call('ZSCORE', key('group_exchanges'), args.group) == args.until_ms then
  redis.call('ZREM', key('group_exchanges'), args.group)
end
return {slots, revision, wants and '1' or '', limit}
