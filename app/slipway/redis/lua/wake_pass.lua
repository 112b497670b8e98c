--! needs: keys queue
--! repeatable: yes
--! shard: thread
-- Wakes another worker for the due jobs of a shard, because a worker that was woken for them claims nothing now: it has
-- no free slot, or it stops.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `group` (of the worker), `leaves` (`<group> <worker>` of a worker that waits
--   no longer; or nil).
-- Reply: nothing.
-- Atomic: That the worker waits no longer, and that another one is woken.
-- Repeatable: Yes: a second worker finds no job.

local args = cmsgpack.unpack(ARGV[2])
-- the first command must not need memory: a full Redis rejects a script if its first command does
if args.leaves then redis.call('ZREM', key('waiting_workers'), args.leaves) end
if redis.call('EXISTS', key('queue'), key('suspect_queue')) > 0 then wake_worker() end
if redis.call('EXISTS', key('version_lanes')) == 1 then wake_worker(args.group) end
