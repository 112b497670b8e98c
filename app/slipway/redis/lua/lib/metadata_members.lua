-- Metadata of assistants and crons, stored again with one hash field for each member, so that an access filter reads
-- only the members that it compares.

-- Replaces the fields. `members_of_us` holds the `updated_us` of the record for which they were written.
local function set_metadata_members(record, metadata)
  for _, field in ipairs(redis.call('HKEYS', record)) do
    if string.sub(field, 1, 2) == 'm:' then redis.call('HDEL', record, field) end
  end
  for name, value in pairs(metadata) do redis.call('HSET', record, 'm:' .. name, value) end
  redis.call('HSET', record, 'members_of_us', redis.call('HGET', record, 'updated_us'))
end
