--! needs: due_times
--! repeatable: yes
--! shard: thread
-- Prevents that a run is created for a due time that its cron no longer has: the cron was changed or deleted when the
-- due time had come, so a worker may have read it before.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `incarnation` (creation time of the cron in µs), `due_ms`.
-- Reply: 1; 0 if the due time was handled already, so that its run may exist.
-- Atomic: All of it.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
if handled_reply(args) then return 0 end
set_handled(args, nil)
return 1
