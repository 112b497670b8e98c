--! needs: clock keys
--! rare: note_shared_change
-- Shared records: records that scripts of every shard of threads read. The first shard decides: a change is one script
-- there, which gives the record a new revision. Then the record is copied to the other shards (`shared_read.lua`,
-- `shared_replace.lua`), which read their copies. A deployment whose key prefix has no hash tag has one shard, and no
-- copies.
--
-- The name of a shared record is its kind (`switch`, `rollout`, `version` or `endpoint`), a space and its id. In each
-- shard, the sorted set `shared_changes` has the revision of every record that was ever changed. So its greatest score
-- is the revision up to which the shard knows all changes.
--
-- A revision is a time in µs, or one more than the revision before. The first shard remembers the last revisions that
-- it has given: if it loses writes in a failover, a copy has one that it does not remember.

local MOST_REVISIONS = 1000

-- The greatest revision in this shard; 0 if no record was ever changed.
local function newest_revision()
  return tonumber(redis.call('ZREVRANGE', key('shared_changes'), 0, 0, 'WITHSCORES')[2] or 0)
end

-- Remembers that a revision was given.
local function remember_revision(revision)
  redis.call('ZADD', key('shared_revisions'), revision, integer_text(revision))
  redis.call('ZREMRANGEBYRANK', key('shared_revisions'), 0, -MOST_REVISIONS - 1)
end

local revision_of_call = nil -- all changes of one call have the same

-- Notes that a record was changed or deleted, so that it is copied. `by` is the operator, where the copies need it, or
-- nil. Only the first shard changes records.
local function note_shared_change(kind, id, by)
  if is_only_shard() then return end
  if not revision_of_call then
    revision_of_call = math.max(now_us, newest_revision() + 1)
    remember_revision(revision_of_call)
  end
  redis.call('ZADD', key('shared_changes'), revision_of_call, kind .. ' ' .. id)
  if by then redis.call('HSET', key('shared_actors'), kind .. ' ' .. id, by) end
end
