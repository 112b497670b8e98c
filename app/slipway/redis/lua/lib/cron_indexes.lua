--! needs: keys terms
-- The indexes of crons: one sorted set for each index term, scored by creation time in µs, and one for each order. An
-- order of texts has members `<text>\0<id>`. A cron without an end or a next due time has the score -1 in that order.

-- The entries of a cron by its record: {key of the set, member, score} of each; none for a cron that does not exist.
local function cron_entries(cron_id)
  local fields = redis.call('HMGET', key('cron', cron_id), 'created_us', 'updated_us', 'terms', 'assistant_id',
    'thread_id', 'end_ms', 'next_ms')
  if not fields[1] then return {} end
  local entries = {
    {key('crons'), cron_id, fields[1]},
    {key('crons_by', 'updated_at'), cron_id, fields[2]},
    {key('crons_by', 'end_time'), cron_id, fields[6] or -1},
    {key('crons_by', 'next_run_date'), cron_id, fields[7] or -1},
    {key('crons_by', 'cron_id'), cron_id, 0},
    {key('crons_by', 'assistant_id'), fields[4] .. '\0' .. cron_id, 0},
    {key('crons_by', 'thread_id'), (fields[5] or '') .. '\0' .. cron_id, 0},
  }
  local terms = fields[3] or ''
  for i = 1, #terms, TERM_LENGTH do
    entries[#entries + 1] = {key('crons_with', string.sub(terms, i, i + TERM_LENGTH - 1)), cron_id, fields[1]}
  end
  return entries
end
