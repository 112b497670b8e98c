--! repeatable: yes
--! shard: thread
-- Finds out whether stored states are encrypted, from a few values of each.
--
-- KEYS: the states of some threads.
-- ARGV: the first byte of encrypted values.
-- Reply: 1 if one value begins with it, else 0.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

for _, state in ipairs(KEYS) do
  for _, field in ipairs(redis.call('HRANDFIELD', state, 8)) do
    local kind, first = string.sub(field, 1, 1), nil
    if kind == 'b' or kind == 'c' then
      local value = redis.call('HGET', state, field)
      if kind == 'c' then
        local a, b, c, d = string.byte(value, 1, 4)
        first = string.sub(value, 5 + ((a * 256 + b) * 256 + c) * 256 + d, -1)
        first = string.sub(first, 1, 1)
      else
        first = string.sub(value, 1, 1)
      end
    end
    if first == ARGV[1] then return 1 end
  end
end
return 0
