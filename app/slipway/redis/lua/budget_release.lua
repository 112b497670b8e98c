--! needs: budgets keys
--! repeatable: yes
--! shard: limits
-- Takes back a reservation of a call that is not made, or of a run that was not created.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `reserver`, `revision`, and the `entries` that were reserved.
-- Reply: 1; 0 if the revision was not reserved, or was released before.
-- Atomic: All budgets.
-- Repeatable: Yes: the revision is forgotten with its reservation.

local args = cmsgpack.unpack(ARGV[2])
local reserver, others, found = key('budget_reserver', args.reserver), {}, 0
for text in string.gmatch(redis.call('GET', reserver) or '', '%d+') do
  if tonumber(text) == args.revision then found = 1 else others[#others + 1] = text end
end
if found == 0 then return 0 end
if #others > 0 then
  redis.call('SET', reserver, table.concat(others, ','), 'KEEPTTL')
else
  redis.call('DEL', reserver)
end
subtract_from_budgets(args.entries)
return 1
