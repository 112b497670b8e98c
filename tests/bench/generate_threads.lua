-- Stores threads, as they are after their first run, without runs and checkpoints. ARGV: the key prefix; a MessagePack
-- list of {id, time in µs, status, fields, packed terms, packed terms of the values}; 1 to store the indexes, 0 the
-- records.
local prefix, threads, indexes = ARGV[1], cmsgpack.unpack(ARGV[2]), ARGV[3] == '1'
for _, each in ipairs(threads) do
  local id, time_us, status, fields, terms, value_terms = unpack(each)
  if not indexes then
    redis.call('HSET', prefix .. ':thread:' .. id, 'created_us', time_us, 'updated_us', time_us, 'state_us', time_us,
      'status', status, unpack(fields))
    redis.call('ZADD', prefix .. ':threads', time_us, id)
  else
    redis.call('HSET', prefix .. ':thread:' .. id, 'terms', terms, 'value_terms', value_terms)
    redis.call('ZADD', prefix .. ':threads:created', time_us, id)
    redis.call('ZADD', prefix .. ':threads:state_updated', time_us, id)
    redis.call('ZADD', prefix .. ':threads:ids', 0, id)
    redis.call('ZADD', prefix .. ':threads:with:' .. status, time_us, id)
    for _, packed in ipairs({terms, value_terms}) do
      for i = 1, #packed, 20 do
        redis.call('ZADD', prefix .. ':threads:with:' .. string.sub(packed, i, i + 19), time_us, id)
      end
    end
  end
end
