--! needs: keys terms
-- The indexes of crons: one sorted set for each index term, scored by creation time in µs, and one for each order. An
-- order of texts has members `<text>\0<id>`. A cron without an end or a next due time has the score -1 in that order.

-- Adds a cron, whose record is complete. Its next due time is indexed when it is set.
local function index_cron(cron_id)
  local fields = redis.call('HMGET', key('cron', cron_id), 'created_us', 'updated_us', 'terms', 'assistant_id',
    'thread_id', 'end_ms')
  local terms = fields[3] or ''
  for i = 1, #terms, TERM_LENGTH do
    redis.call('ZADD', key('crons_with', string.sub(terms, i, i + TERM_LENGTH - 1)), fields[1], cron_id)
  end
  redis.call('ZADD', key('crons'), fields[1], cron_id)
  redis.call('ZADD', key('crons_by', 'updated_at'), fields[2], cron_id)
  redis.call('ZADD', key('crons_by', 'end_time'), fields[6] or -1, cron_id)
  redis.call('ZADD', key('crons_by', 'cron_id'), 0, cron_id)
  redis.call('ZADD', key('crons_by', 'assistant_id'), 0, fields[4] .. '\0' .. cron_id)
  redis.call('ZADD', key('crons_by', 'thread_id'), 0, (fields[5] or '') .. '\0' .. cron_id)
end

-- Removes a cron from all sets, before its record is changed or deleted.
local function unindex_cron(cron_id)
  local fields = redis.call('HMGET', key('cron', cron_id), 'terms', 'assistant_id', 'thread_id')
  local terms = fields[1] or ''
  for i = 1, #terms, TERM_LENGTH do
    redis.call('ZREM', key('crons_with', string.sub(terms, i, i + TERM_LENGTH - 1)), cron_id)
  end
  redis.call('ZREM', key('crons'), cron_id)
  redis.call('ZREM', key('crons_by', 'updated_at'), cron_id)
  redis.call('ZREM', key('crons_by', 'end_time'), cron_id)
  redis.call('ZREM', key('crons_by', 'next_run_date'), cron_id)
  redis.call('ZREM', key('crons_by', 'cron_id'), cron_id)
  if fields[2] then redis.call('ZREM', key('crons_by', 'assistant_id'), fields[2] .. '\0' .. cron_id) end
  redis.call('ZREM', key('crons_by', 'thread_id'), (fields[3] or '') .. '\0' .. cron_id)
end
