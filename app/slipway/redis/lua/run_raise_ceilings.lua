--! needs: audit ceilings keys
--! repeatable: yes
--! shard: thread
-- Raises ceilings of a run, and of the runs that continue its chain. `max_node_visits` is as `max_steps` where nobody
-- set it, so it is raised with it while both are equal, unless `limits` names it.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `limits` (name to limit), `by`, `reason` or nil.
-- Reply: {'ok', '1' if a limit was raised, else '0'}; {'not_found'}; {'running'} if an attempt executes the run;
--   {'ended'} for a run that has completed, or whose chain another run continues; {'lower', name} if a limit is below
--   the run's own; {'unlimited', name} if the run has no such limit.
-- Atomic: All limits, and the entry in the audit trail.
-- Repeatable: Yes: equal limits change nothing.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local fields = redis.call('HMGET', run, 'phase', 'ceilings', 'raised_ceilings', 'retried_by')
if not fields[1] then return {'not_found'} end
if fields[1] == 'running' then return {'running'} end
if fields[1] == 'completed' then return {'ended'} end
local limits, raised, changed = limits_of(fields[2]), fields[3] and limits_of(fields[3]) or {}, false
local steps = args.limits.max_steps
if steps and not args.limits.max_node_visits and limits.max_node_visits == limits.max_steps
    and steps > limits.max_steps then
  args.limits.max_node_visits = steps
end
for name, limit in pairs(args.limits) do
  if not limits[name] then return {'unlimited', name} end
  if limit < limits[name] then return {'lower', name} end
  if limit > limits[name] then limits[name], raised[name], changed = limit, limit, true end
end
if not changed then return {'ok', '0'} end
if fields[4] and redis.call('EXISTS', key('run', fields[4])) == 1 then return {'ended'} end
redis.call('HSET', run, 'ceilings', stored_limits(limits), 'raised_ceilings', stored_limits(raised))
append_audit(args.run_id, 'ceiling.raised', args.by, cjson.encode({limits = args.limits, reason = args.reason}))
return {'ok', '1'}
