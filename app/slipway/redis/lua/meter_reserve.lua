--! needs: budgets fencing metering
--! repeatable: yes
--! shard: thread
-- Stores what a chain has used of models and tools, with the most that a call may use that is about to be made, and
-- counts it in the budgets.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `attempt`, `incarnation`, `metered` (the text to store), `ended`
--   (entries for `add_to_budgets`: corrections of calls that have ended; or nil), `budgets` (entries for
--   `reserve_in_budgets`: the call; or nil).
-- Reply: {'ok'}; {'fenced'}; {'budget', position of the entry of `budgets` without room, what its field has}: then the
--   call is counted in no budget.
-- Atomic: The usage of the chain and all budgets.
-- Repeatable: Yes: a text that is not newer than what is stored changes nothing, and no budget either.

local args = cmsgpack.unpack(ARGV[2])
if not owned_run(args.run_id, args.attempt, args.incarnation) then return {'fenced'} end
if store_metered(args.run_id, args.metered) then
  if args.ended then add_to_budgets(args.ended) end
  if args.budgets then
    local position, used = reserve_in_budgets(args.budgets)
    if position then return {'budget', position, used} end
  end
end
return {'ok'}
