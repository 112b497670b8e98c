-- What is needed of checkpoints to choose among them, without their values. ARGV: what leads their names, then <at>, ...
-- Answers per checkpoint that is there: {<at>, run, parent, metadata, {channel that has a value, ...}}; run, parent and
-- metadata each in a JSON array.
local found = {}
for i = 2, #ARGV do
  local key = ARGV[1] .. ARGV[i]
  local names = redis.call('JSON.OBJKEYS', key, '$.checkpoint.channel_values')
  if names and names[1] then
    found[#found + 1] = {
      ARGV[i],
      redis.call('JSON.GET', key, '$.run_id'),
      redis.call('JSON.GET', key, '$.parent_checkpoint_id'),
      redis.call('JSON.GET', key, '$.metadata'),
      names[1],
    }
  end
end
return found
