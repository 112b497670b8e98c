--! needs: keys
--! repeatable: yes
--! shard: thread
-- Stores the body of a delivery, before it is sent first. Every later try sends the same bytes.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `delivery_id`, `try` (its number); the body in its stored form.
-- Reply: 1; 0 if a later try has started.
-- Atomic: The body, and the fields from which it was made, which nobody needs any more.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local delivery = key('delivery', args.delivery_id)
if redis.call('HGET', delivery, 'tries') ~= tostring(args.try) then return 0 end
redis.call('HSET', delivery, 'body', ARGV[3])
redis.call('HDEL', delivery, 'body_values', 'body_interrupts', 'body_error', 'announcement', 'unbuilt',
  'full_data', 'review_question', 'review_answer', 'review_decision')
return 1
