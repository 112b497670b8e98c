--! repeatable: yes
--! shard: thread
-- langgraph-redis: reads what is needed to choose among checkpoints, without their values.
--
-- KEYS: none; the names are in ARGV.
-- ARGV: prefix of checkpoints; <thread>:<namespace>:<checkpoint> of each.
-- Reply: for each checkpoint that exists: {its name, run, parent, metadata, {channels that have a value}}; run, parent
--   and metadata each in a JSON array.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

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
