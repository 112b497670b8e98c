--! needs: budgets fencing keys metering
--! repeatable: yes
--! shard: thread
-- Stores what a chain has used of models and tools, with the most that a call may use that is about to be made, and
-- counts it in the budgets.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `attempt`, `incarnation`, `metered` (the text to store), `budgets`
--   (entries for `reserve_in_budgets`, or nil).
-- Reply: {'ok'}; {'fenced'}; {'budget', position of the entry without room, what its field has}, and nothing is stored.
-- Atomic: The usage of the chain and all budgets.
-- Repeatable: Yes: a text that is not newer than what is stored changes nothing, and no budget either.

local args = cmsgpack.unpack(ARGV[2])
if not owned_run(args.run_id, args.attempt, args.incarnation) then return {'fenced'} end
local stored = redis.call('HGET', key('run', args.run_id), 'metered')
if args.budgets and metered_revision(stored) < metered_revision(args.metered) then
  local position, used = reserve_in_budgets(args.budgets)
  if position then return {'budget', position, used} end
end
store_metered(args.run_id, args.metered)
return {'ok'}
