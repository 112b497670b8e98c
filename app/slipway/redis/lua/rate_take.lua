--! needs: clock keys
--! repeatable: no
--! shard: clients
-- Takes a token from each of several buckets, or from none if one of them has none. A bucket is stored as the time when
-- it will be full again (the generic cell rate algorithm), so all processes count exactly the same.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `buckets`, a list of {name, interval in µs after which a token returns, room
--   for tokens, tokens to take: 0 only asks whether one is left}.
-- Reply: for each bucket {'1' if it has the token, tokens that are left, µs until it is full, µs until it has a token}.
-- Atomic: The check of all buckets and the taking.
-- Repeatable: No: a token is taken again.

local args = cmsgpack.unpack(ARGV[2])
local found, has_all = {}, true
for _, bucket in ipairs(args.buckets) do
  local name, interval, room, taken = bucket[1], bucket[2], bucket[3], bucket[4]
  local full_us = math.max(tonumber(redis.call('GET', key('rate', name))) or 0, now_us)
  local after_us = full_us + interval * math.max(taken, 1) - now_us
  local has = after_us <= interval * room
  has_all = has_all and has
  found[#found + 1] = {name, interval, room, taken, full_us, has, after_us}
end
local reply = {}
for _, bucket in ipairs(found) do
  local name, interval, room, taken, full_us, has, after_us = unpack(bucket)
  if has_all and taken > 0 then
    full_us = full_us + interval * taken
    redis.call('SET', key('rate', name), integer_text(full_us), 'PX',
      integer_text(math.ceil((full_us - now_us) / 1000) + 1))
  end
  local used_us = full_us - now_us
  local left = math.max(0, math.floor((interval * room - used_us) / interval))
  reply[#reply + 1] = {has and '1' or '0', integer_text(left), integer_text(used_us),
    integer_text(math.max(0, after_us - interval * room))}
end
return reply
