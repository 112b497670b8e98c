--! needs: budgets fencing metering
--! repeatable: yes
--! shard: thread
-- Stores what a chain has used of models and tools, with the most that a call may use that is about to be made, and
-- counts it in the budgets.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `attempt`, `incarnation`, and the members of
--   `metering.scripts.Reservation`; `budgets` and `ended` are nil if they are empty.
-- Reply: {'ok'}; {'fenced'}; {'budget', position of the entry of `budgets` without room, what its field has}: then
--   nothing is counted in a budget, not even `ended`.
-- Atomic: The usage of the chain and all budgets.
-- Repeatable: Yes: a text that is not newer than what is stored changes nothing, and each revision is counted once.

local args = cmsgpack.unpack(ARGV[2])
if not owned_run(args.run_id, args.attempt, args.incarnation) then return {'fenced'} end
store_metered(args.run_id, args.metered)
if args.budgets or args.ended then
  local position, used = reserve_once(args.run_id, args.revision, args.oldest, args.budgets or {}, args.ended or {})
  if position then return {'budget', position, used} end
end
return {'ok'}
