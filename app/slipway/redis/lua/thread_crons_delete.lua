--! needs: cron_deletion keys
--! repeatable: yes
--! shard: crons
-- Deletes the crons of deleted threads. Runs that they created were deleted with the threads.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `threads` ({thread, its creation time in µs} of each).
-- Reply: the number of deleted crons.
-- Atomic: The crons of all these threads. A cron of a later thread with the same id stays.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local deleted = 0
for _, thread in ipairs(args.threads) do
  for _, cron_id in ipairs(redis.call('SMEMBERS', key('thread_crons', thread[1]))) do
    if redis.call('HGET', key('cron', cron_id), 'thread_created_us') == thread[2] then
      deleted = deleted + delete_cron(cron_id)
    end
  end
end
return deleted
