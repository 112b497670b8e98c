--! repeatable: yes
--! shard: thread
-- What is needed of checkpoints to choose among them, without their values. ARGV: what leads their names, then <at>, ...
-- Answers per checkpoint that is there: {<at>, run, parent, metadata, {channel that has a value, ...}}; run, parent and
-- metadata each in a JSON array.
local found = {}
for i = 2, #ARGV do
  local name = ARGV[1] .. ARGV[i]
  local names = redis.call('JSON.OBJKEYS', name, '$.checkpoint.channel_values')
  if names and names[1] then
    found[#found + 1] = {
      ARGV[i],
      redis.call('JSON.GET', name, '$.run_id'),
      redis.call('JSON.GET', name, '$.parent_checkpoint_id'),
      redis.call('JSON.GET', name, '$.metadata'),
      names[1],
    }
  end
end
return found
