--! needs: cron_indexes index_entries keys
-- The deletion of a cron.

-- Runs that it created stay. Returns 1, or 0 if there is no such cron.
local function delete_cron(cron_id)
  local thread_id = redis.call('HGET', key('cron', cron_id), 'thread_id')
  if thread_id then redis.call('SREM', key('thread_crons', thread_id), cron_id) end
  remove_entries(cron_entries(cron_id))
  redis.call('ZREM', key('crons_due'), cron_id)
  return redis.call('DEL', key('cron', cron_id))
end
