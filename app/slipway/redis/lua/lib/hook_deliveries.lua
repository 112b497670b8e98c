--! needs: clock keys
-- The deliveries of hooks: their state and its indexes.

local ANSWERED_FOR_GOOD = {accepted = true, ignored = true}

-- Stores the state of a delivery, with the answer of every state except `received`. A worker finishes one that is
-- `received` after `finish_after_ms`, unless it is answered before.
local function set_hook_state(delivery, hook, received_us, before, args, answer)
  local record, state = key('hook_delivery', delivery), args.state
  if before and before ~= state then redis.call('ZREM', key('hook_deliveries_in', hook .. ':' .. before), delivery) end
  local set = key('hook_deliveries_in', hook .. ':' .. state)
  redis.call('ZADD', set, received_us, delivery)
  redis.call('ZREMRANGEBYSCORE', set, '-inf', '(' .. integer_text(now_us - args.retention_s * 1000000))
  redis.call('EXPIRE', set, args.retention_s)
  redis.call('HSET', record, 'state', state)
  if state == 'received' then
    redis.call('ZADD', key('unanswered_hook_deliveries'), integer_text(now_ms + args.finish_after_ms), delivery)
    return
  end
  redis.call('ZREM', key('unanswered_hook_deliveries'), delivery)
  redis.call('HSET', record, 'answer_status', args.status, 'answer', answer)
  local counts = key('hook_counts', hook)
  if state == 'accepted' then
    redis.call('HINCRBY', counts, 'accepted', 1)
  elseif state == 'ignored' then
    redis.call('HINCRBY', counts, 'ignored', 1)
  else
    redis.call('HINCRBY', counts, 'rejected', 1)
  end
end
