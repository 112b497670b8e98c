--! needs: keys
-- The calls of tools of a thread's chain: what was asked, begun and done, and the results. See
-- `tool_gateway/gateway.py`.

-- The record of a call, and its result if it has ended. The record is empty for a call that has none, and for a call
-- that is not `recorded`.
local function call_record(thread_id, args)
  if not args.recorded then return {} end
  local stored = redis.call('HMGET', key('thread_calls', thread_id), args.call, args.call .. ':result')
  return stored[1] and cmsgpack.unpack(stored[1]) or {}, stored[2]
end

local function store_call(thread_id, args, record)
  record.tool, record.hash = args.tool, args.hash
  redis.call('HSET', key('thread_calls', thread_id), args.call, cmsgpack.pack(record))
end
