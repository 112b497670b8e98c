-- A walk through the sorted sets of an index, in order, with a bounded number of checks.
--
-- `query` is a map:
--   `every` (key of the set of all records, scored like the sets of the terms)
--   `conjunctions` (a record matches if one of them holds: each is a list of conditions, all of which must hold; each
--     condition is a list of keys of sets, and the record must be in one of them. The first key is the term itself)
--   `order` (key of the set whose scores are the order), `ids_order` (whether all its scores are equal), `texts`
--     (whether its members are `<text>\0<id>`, where each id is a UUID: then nothing is gathered), `reverse`
--   `gather` (most members of the sets of the terms that are gathered, to be sorted by the caller, if `order` is not
--     `every`; the set `order` itself is walked if there are more), `gathers` (whether an earlier call gathered, or
--     nil)
--   `after` ({score, id} of the last entry that an earlier call read, or nil)
--   `skip` (matches to skip), `limit` (matches to find, unless they are gathered), `checks` (entries to read), `counts`
--     (whether only the number of matches is needed), `scores` (whether the scores of the matches are needed), `exact`
--     (whether the conjunctions are the whole question: else no match is skipped, because the caller must check it
--     first)
--
-- Returns {ids, scores in `order` if gathered or needed, {score, id} to continue after or {} at the end, number of
-- matches, number of skipped matches, number of checks, 1 if gathered, 1 if all matches are certain, members of the
-- sets of the terms}.

local INDEX_BATCH = 100
local UUID_LENGTH = 36

-- The number of members of a set, which is read once in a call.
local function size_of(walk, set)
  if not walk.sizes[set] then walk.sizes[set] = redis.call('ZCARD', set) end
  return walk.sizes[set]
end

-- The sets of a condition that are not empty, and their members. Whether all matches are certain depends on wider
-- terms.
local function existing_sets(walk, condition)
  local sets, members = {}, 0
  for _, set in ipairs(condition) do
    local size = size_of(walk, set)
    if size > 0 then
      sets[#sets + 1] = set
      members = members + size
      if set ~= condition[1] then walk.certain = false end
    end
  end
  return sets, members
end

-- A conjunction as lists of sets that are not empty, and the position of the list with the fewest members (nil without
-- conditions). Returns nothing if a condition has no members.
local function possible_conjunction(walk, conjunction)
  local conditions, smallest, fewest, possible = {}, nil, nil, true
  for i, condition in ipairs(conjunction) do
    local sets, members = existing_sets(walk, condition)
    if #sets == 0 then possible = false end
    conditions[i] = sets
    if not smallest or members < fewest then smallest, fewest = i, members end
  end
  if possible then return {conditions = conditions, smallest = smallest} end
end

-- A set that is walked through. Its entries match if they meet the other conditions.
local function new_source(walk, set, conditions)
  return {set = set, conditions = conditions, batch = {}, size = walk.batch, position = 1, rank = 0}
end

-- The smallest sets of all conjunctions, and the number of their members.
local function smallest_sources(walk, conjunctions)
  local sources, members = {}, 0
  for _, conjunction in ipairs(conjunctions) do
    local others = {}
    for i, sets in ipairs(conjunction.conditions) do
      if i ~= conjunction.smallest then others[#others + 1] = sets end
    end
    for _, set in ipairs(conjunction.conditions[conjunction.smallest] or {walk.query.every}) do
      sources[#sources + 1] = new_source(walk, set, others)
      members = members + size_of(walk, set)
    end
  end
  return sources, members
end

-- The set that has all records in the order of the query.
local function ordered_source(walk, conjunctions)
  local source = new_source(walk, walk.query.order, {})
  local every_record = #conjunctions == 1 and #conjunctions[1].conditions == 0
  if not every_record then source.any_of = conjunctions end
  return source
end

local function is_in_one(id, sets)
  for _, set in ipairs(sets) do
    if redis.call('ZSCORE', set, id) then return true end
  end
  return false
end

local function meets_all(id, conditions)
  for _, sets in ipairs(conditions) do
    if not is_in_one(id, sets) then return false end
  end
  return true
end

local function matches(source, id)
  if not source.any_of then return meets_all(id, source.conditions) end
  for _, conjunction in ipairs(source.any_of) do
    if meets_all(id, conjunction.conditions) then return true end
  end
  return false
end

-- Whether an entry comes before another one.
local function precedes(walk, score, id, other_score, other_id)
  if walk.query.reverse then score, id, other_score, other_id = other_score, other_id, score, id end
  return score < other_score or (score == other_score and id < other_id)
end

-- The rank of the first entry after the last one that an earlier call read, or of one of the same score before it.
local function rank_after(walk, set)
  local query, score = walk.query, redis.call('ZSCORE', set, walk.after_id)
  if score and tonumber(score) == walk.after_score then
    if query.reverse then return redis.call('ZREVRANK', set, walk.after_id) + 1 end
    return redis.call('ZRANK', set, walk.after_id) + 1
  end
  if query.ids_order and set == query.order then
    if query.reverse then return redis.call('ZLEXCOUNT', set, '(' .. walk.after_id, '+') end
    return redis.call('ZLEXCOUNT', set, '-', '(' .. walk.after_id)
  end
  if query.reverse then return redis.call('ZCOUNT', set, '(' .. query.after[1], '+inf') end
  return redis.call('ZCOUNT', set, '-inf', '(' .. query.after[1])
end

local function read_entries(set, first, last, reverse)
  if reverse then return redis.call('ZREVRANGE', set, first, last, 'WITHSCORES') end
  return redis.call('ZRANGE', set, first, last, 'WITHSCORES')
end

-- Finds the next entry of a source, which stays the next one until it is taken. Returns its id, nil at the end.
local function peek(walk, source)
  while not source.id and not source.ended do
    if source.position > #source.batch then
      source.batch = read_entries(source.set, source.rank, source.rank + source.size - 1, walk.query.reverse)
      source.rank, source.position = source.rank + #source.batch / 2, 1
      source.size = math.min(source.size * 2, INDEX_BATCH)
      if #source.batch == 0 then source.ended = true end
    end
    if not source.ended then
      local id, score = source.batch[source.position], tonumber(source.batch[source.position + 1])
      source.position = source.position + 2
      if not walk.after_id or precedes(walk, walk.after_score, walk.after_id, score, id) then
        source.id, source.score = id, score
      end
    end
  end
  return source.id
end

-- The source whose next entry is the first of all.
local function next_source(walk, sources)
  local first
  for _, source in ipairs(sources) do
    if peek(walk, source) and (not first or precedes(walk, source.score, source.id, first.score, first.id)) then
      first = source
    end
  end
  return first
end

-- Moves all sources behind the last entry that an earlier call read. If matches of one set without other conditions are
-- to be skipped, they are skipped by their ranks. Returns their number.
local function move_sources(walk, sources, skips, is_plain)
  for _, source in ipairs(sources) do
    if walk.after_id then source.rank = rank_after(walk, source.set) end
  end
  if not is_plain or skips == 0 then return 0 end
  local skipped = math.min(skips, math.max(size_of(walk, sources[1].set) - sources[1].rank, 0))
  sources[1].rank = sources[1].rank + skipped
  return skipped
end

-- Reads entries until there are enough matches or checks. `skips` matches are skipped, of which `skipped` are already.
-- Returns the first six members of the reply.
local function find_matches(walk, sources, limit, skips, skipped)
  local query = walk.query
  local ids, scores, count, checks, last_id, last_score, matched_id = {}, {}, 0, 0, nil, nil, nil
  local source = next_source(walk, sources)
  -- entries of one record are read in one call, because the next call continues after them
  while source and (source.id == last_id or (checks < query.checks and #ids < limit)) do
    local id = source.id
    last_id, last_score, source.id = id, source.score, nil
    checks = checks + 1
    if query.texts then id = string.sub(id, -UUID_LENGTH) end
    if id ~= matched_id and matches(source, id) then
      matched_id = id
      if skipped < skips then
        skipped = skipped + 1
      else
        count = count + 1
        if not (walk.certain and query.counts) then ids[#ids + 1] = id end
        if walk.gathers then
          scores[#scores + 1] = redis.call('ZSCORE', query.order, id) or '0'
        elseif query.scores then
          scores[#scores + 1] = string.format('%.17g', last_score)
        end
      end
    end
    source = next_source(walk, sources)
  end
  local continue = source and last_id and {string.format('%.17g', last_score), last_id} or {}
  return ids, scores, continue, count, skipped, checks
end

local function walk_index(query)
  local walk = {query = query, sizes = {}, certain = query.exact, gathers = false, after_score = nil, after_id = nil}
  walk.batch = math.min(query.limit + 1, INDEX_BATCH)
  if query.after then walk.after_score, walk.after_id = tonumber(query.after[1]), query.after[2] end
  local conjunctions = {}
  for _, conjunction in ipairs(query.conjunctions) do
    conjunctions[#conjunctions + 1] = possible_conjunction(walk, conjunction)
  end
  local sources, members = smallest_sources(walk, conjunctions)
  if query.order ~= query.every then
    walk.gathers = query.gathers or query.gathers == nil and members <= query.gather
    if not walk.gathers and #conjunctions > 0 then sources = {ordered_source(walk, conjunctions)} end
  end

  -- one set without other conditions: matches are known by their ranks
  local is_plain = #sources == 1 and not sources[1].any_of and #sources[1].conditions == 0
  if walk.certain and is_plain and query.counts then
    return {{}, {}, {}, size_of(walk, sources[1].set), 0, 0, 0, 1, members}
  end
  local skips = walk.certain and not walk.gathers and query.skip or 0
  local skipped = move_sources(walk, sources, skips, is_plain)
  local reply = {find_matches(walk, sources, walk.gathers and query.checks or query.limit, skips, skipped)}
  reply[7], reply[8], reply[9] = walk.gathers and 1 or 0, walk.certain and 1 or 0, members
  return reply
end
