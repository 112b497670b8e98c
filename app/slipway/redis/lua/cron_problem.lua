--! needs: due_times webhook_events
--! repeatable: yes
--! shard: thread
-- Creates the deliveries of `cron.problem`, when a problem keeps a cron from creating a run and the cron did not have
-- the same problem before. Call it before the problem is stored with the cron, which may be in another shard: a worker
-- that dies in between leaves the cron due, and the next one finds here that the event exists.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `incarnation`, `due_ms` (of the due time), `problem` (a
--   sentence), `assistant_id`, `graph_id`, `owner` (JSON) and `thread_id` of the cron, each nil if there is none.
-- Reply: 1 if this is a new problem, else 0.
-- Atomic: The deliveries, and that the problem is known. A run of the cron ends the problem (`lib/due_times.lua`).
-- Repeatable: Yes: the problem is known then.

local args = cmsgpack.unpack(ARGV[2])
if handled_reply(args) or not set_problem(args) then return 0 end
if is_anything_subscribed() then
  local subject = {id = args.cron_id, graph_id = args.graph_id, owner = args.owner, thread_id = args.thread_id}
  emit('cron.problem', subject, {'cron_id', args.cron_id, 'assistant_id', args.assistant_id, 'graph_id',
    args.graph_id or false, 'thread_id', args.thread_id or false, 'owner', {args.owner}, 'due_at',
    iso(args.due_ms * 1000), 'problem', args.problem, 'link', '/runs/crons/' .. escaped_segment(args.cron_id)})
end
return 1
