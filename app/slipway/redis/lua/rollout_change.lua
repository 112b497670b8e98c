--! needs: deliveries keys rollouts shared_records webhook_events
--! repeatable: yes
--! shard: thread
-- Replaces the rollout of a graph, if it is still the one that the caller has read. The first shard decides; the others
-- get a copy, and count the runs of the ramp that are theirs.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `graph_id`; `before` and `after`, the stored forms (see
--   `rollouts/record.py`), each nil for no rollout; `ramp`, the id of the ramp, nil if no version is ramping;
--   `ended`, the end of the ramp of `before` as JSON, if it ends; `entry` of the history, JSON; `action` of the
--   entry; `shown`, the rollout and the change as clients receive them, as a JSON object; `webhook`, nil
--   or the `id`, `queue`, `url` and `body` of the delivery that announces it to the URL of langgraph.json.
-- Reply: {'ok'}; {'changed'} if the rollout is another one: then nothing was changed.
-- Atomic: The rollout, its history, the end or the begin of its counts, and the deliveries. The counts of a ramp that
--   has ended are kept until the next one begins.
-- Repeatable: Yes: a rollout that is `after` already is not changed again.

local args = cmsgpack.unpack(ARGV[2])
local rollouts = key('rollouts')
local stored = redis.call('HGET', rollouts, args.graph_id)
if stored == (args.after or false) then return {'ok'} end
if stored ~= (args.before or false) then return {'changed'} end
count_ramp(args.graph_id, args.ramp)
if args.after then
  redis.call('HSET', rollouts, args.graph_id, args.after)
else
  redis.call('HDEL', rollouts, args.graph_id)
end
if args.ended then redis.call('HSET', key('rollout_last', args.graph_id), 'ended', args.ended) end
note_shared_change('rollout', args.graph_id)
redis.call('RPUSH', key('rollout_history', args.graph_id), args.entry)
redis.call('LTRIM', key('rollout_history', args.graph_id), -1000, -1)
redis.call('PUBLISH', key('rollout_changes'), args.graph_id)
if args.webhook then
  redis.call('HSET', key('delivery', args.webhook.id), 'announcement', args.webhook.body, 'announcement_url',
    args.webhook.url)
  add_delivery(args.webhook.id, args.webhook.queue, nil, 'rollout.changed', nil, nil, {'graph_id', args.graph_id})
end
if is_anything_subscribed() then
  local subject = {id = args.graph_id, graph_id = args.graph_id, owner = false, full_data = args.shown}
  emit('rollout.changed', subject, {'graph_id', args.graph_id, 'action', args.action, 'link', '/ops/rollouts/'
    .. escaped_segment(args.graph_id)})
end
return {'ok'}
