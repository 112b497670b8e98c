--! needs: clock deliveries delivery_targets keys
--! repeatable: no
--! shard: thread
--! keys: deliveries internal_deliveries
-- Claims due deliveries, each for a limited time: if the process dies, they are claimed again. Those whose target has
-- no free call are parked; with several shards, `target_enter.lua` decides that after the claim. Those of an endpoint
-- that is disabled or deleted become dead letters, and so do those of an endpoint that an earlier release has stored
-- with a path of this deployment: without a user it would have all rights.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `queues` (key kinds, in the order of reading), `limit`, `checks` (entries of
--   the queues that are read at most), `lease_ms`, `concurrency` (calls of one target at once, where it has no number
--   of its own), `keep_s` (how long dead letters stay).
-- Reply: for each delivery a list of its fields, with its name as `delivery_id`, and a list of those of its endpoint.
--   With several shards also what `delivery_park.lua` needs, if its calls are limited: `target_id`, `target_calls` (the
--   most at once), `due_ms`, and `lost_us` if a try was claimed that had not ended.
-- Atomic: The number of tries, the time of the next claim, and the calls of the targets.
-- Repeatable: No: a repetition claims other deliveries.

local args = cmsgpack.unpack(ARGV[2])
local claimed, checks = {}, 0
local PATH_PROBLEM = 'the URL of the endpoint is a path of this deployment: an endpoint needs an absolute URL'

-- Ends a delivery that has no endpoint any more.
local function bury(queue, name, fields, problem)
  redis.call('ZREM', key(queue), name)
  set_delivery_state(name, fields[5], fields[6] or 'pending', 'dead')
  redis.call('HSET', key('delivery', name), 'problem', problem, 'settled_us', now_us)
  redis.call('ZADD', key('deliveries_expiring'), integer_text(now_ms + args.keep_s * 1000), name)
end

-- Stores that the try before has not ended: its process was killed.
local function record_lost_try(name, number, called_us)
  redis.call('RPUSH', key('delivery_tries', name), cmsgpack.pack({number = tonumber(number),
    at_us = tonumber(called_us), problem = 'the process ended before it stored the result'}))
end

local function claim(queue, name, due_ms)
  local delivery = key('delivery', name)
  local fields = redis.call('HMGET', delivery, 'tries', 'endpoint_id', 'webhook_origin', 'called_us', 'enqueued_us',
    'delivery_state', 'run_id', 'unparked')
  if not fields[1] then
    redis.call('ZREM', key(queue), name)
    return
  end
  if not fields[5] then -- a release without an index has created it
    fields[5] = now_us
    redis.call('HSET', delivery, 'enqueued_us', now_us, 'delivery_state', 'pending')
    index_delivery(name, now_us, 'pending', redis.call('HMGET', delivery, 'endpoint_id', 'type', 'run_id', 'owner'))
  end
  local endpoint = {}
  if fields[2] then
    local stored = redis.call('HMGET', key('webhook_endpoint', fields[2]), 'state', 'url', 'keys')
    if not stored[2] then return bury(queue, name, fields, 'the endpoint was deleted') end
    if stored[1] ~= 'enabled' then return bury(queue, name, fields, 'the endpoint is disabled') end
    if string.sub(stored[2], 1, 1) == '/' then return bury(queue, name, fields, PATH_PROBLEM) end
    endpoint = {'url', stored[2], 'keys', stored[3] or '[]'}
  end
  local target = target_of(fields[2], fields[3])
  if target and not is_only_shard() then
    if must_wait(target, fields[8]) then return park_behind_others(key(queue), target, name, due_ms) end
    if fields[8] then redis.call('HDEL', delivery, 'unparked') end
  elseif target then
    local free, open_until_ms = free_calls_here(target, args.concurrency)
    if free == 0 then return park_delivery(key(queue), target, name, due_ms, open_until_ms) end
    redis.call('ZADD', key('delivery_calls', target), integer_text(now_ms + args.lease_ms), name)
    redis.call('PEXPIRE', key('delivery_calls', target), args.lease_ms)
  end
  if fields[4] then record_lost_try(name, fields[1], fields[4]) end
  redis.call('HINCRBY', delivery, 'tries', 1)
  redis.call('HSET', delivery, 'called_us', now_us)
  redis.call('ZADD', key(queue), integer_text(now_ms + args.lease_ms), name)
  local record = redis.call('HGETALL', delivery)
  local trace = fields[2] and fields[7] and redis.call('HGET', key('run', fields[7]), 'trace')
  local function add(field, value) record[#record + 1], record[#record + 2] = field, value end
  if trace then add('trace', trace) end
  add('delivery_id', name)
  if target and not is_only_shard() then
    add('target_id', target)
    add('target_calls', most_calls(target, args.concurrency))
    add('due_ms', due_ms)
    if fields[4] then add('lost_us', fields[4]) end
  end
  claimed[#claimed + 1] = {record, endpoint}
end

unpark_due_targets(args.concurrency)
for _, queue in ipairs(args.queues) do
  while #claimed < args.limit and checks < args.checks do
    local due = redis.call('ZRANGEBYSCORE', key(queue), '-inf', integer_text(now_ms), 'WITHSCORES', 'LIMIT', 0,
      math.min(args.limit - #claimed, args.checks - checks))
    if #due == 0 then break end
    checks = checks + #due / 2
    for i = 1, #due, 2 do claim(queue, due[i], due[i + 1]) end
  end
end
return claimed
