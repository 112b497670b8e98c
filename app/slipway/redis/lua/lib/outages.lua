--! needs: clock keys
-- Outages of Redis.

-- Whether expired leases must not be reclaimed yet, because workers could not renew them during an outage of Redis. An
-- outage is detected when Redis executed neither a heartbeat nor a round of the reaper for `silence_ms`. Then every
-- worker has one lease of time to send a heartbeat.
local function in_grace_period(grace)
  local record = key('outage_watch')
  local fields = redis.call('HMGET', record, 'last_contact_ms', 'grace_until_ms')
  local grace_ms = tonumber(fields[2]) or 0
  if fields[1] and now_ms - tonumber(fields[1]) > grace.silence_ms then grace_ms = now_ms + grace.lease_ms end
  redis.call('HSET', record, 'last_contact_ms', integer_text(now_ms), 'grace_until_ms', integer_text(grace_ms))
  return now_ms < grace_ms
end
