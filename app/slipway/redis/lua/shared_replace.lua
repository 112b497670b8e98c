--! needs: keys rollouts switches webhook_subscriptions
--! repeatable: yes
--! shard: thread
-- Replaces the copies of shared records in this shard whose revisions are older, and does in this shard what the
-- changes entail: runs that paused before a switch are to be resumed, a ramp is counted, an endpoint gets events.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; the records, as `shared_read.lua` replies them.
-- Reply: how many were replaced.
-- Atomic: All of it.
-- Repeatable: Yes: a copy with the same revision is not replaced.

local function replace_rollout(graph_id, stored)
  local ramp = stored and cjson.decode(stored).ramp
  count_ramp(graph_id, ramp and ramp ~= cjson.null and ramp.ramp_id or nil)
  if not stored then return redis.call('HDEL', key('rollouts'), graph_id) end
  redis.call('HSET', key('rollouts'), graph_id, stored)
end

local function replace(kind, id, stored, by)
  if kind == 'switch' then
    if stored then return set_switch_off(id, stored) end
    set_switch_on(id, by or '')
  elseif kind == 'rollout' then
    replace_rollout(id, stored)
  elseif kind == 'version' then
    if not stored then return redis.call('HDEL', key('graph_versions'), id) end
    redis.call('HSET', key('graph_versions'), id, stored)
  else
    replace_endpoint(id, stored)
  end
end

local records, replaced = cmsgpack.unpack(ARGV[2]), 0

local function replace_older(is_deleted)
  for _, record in ipairs(records) do
    local kind, id, revision, stored, by = unpack(record)
    if not stored == is_deleted then
      local name = kind .. ' ' .. id
      local own = redis.call('ZSCORE', key('shared_changes'), name)
      if not own or tonumber(own) < tonumber(revision) then
        replace(kind, id, stored, by)
        redis.call('ZADD', key('shared_changes'), revision, name)
        replaced = replaced + 1
      end
    end
  end
end

-- the first write must not need memory: a full Redis rejects a script if its first write does
replace_older(true)
replace_older(false)
return replaced
