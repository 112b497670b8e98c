-- A walk through the sorted sets of an index, in order, with a bounded number of checks.
--
-- `query` is a map:
--   `every` (key of the set of all records, scored like the sets of the terms)
--   `conjunctions` (a record matches if one of them holds: each is a list of conditions, all of which must hold; each
--     condition is a list of keys of sets, and the record must be in one of them. The first key is the term itself)
--   `order` (key of the set whose scores are the order), `ids_order` (whether all its scores are equal), `texts` (whether
--     its members are `<text>\0<id>`, where each id is a UUID: then nothing is gathered), `reverse`
--   `gather` (most members of the sets of the terms that are gathered, to be sorted by the caller, if `order` is not
--     `every`; the set `order` itself is walked if there are more), `gathers` (whether an earlier call gathered, or nil)
--   `after` ({score, id} of the last entry that an earlier call read, or nil)
--   `skip` (matches to skip), `limit` (matches to find, unless they are gathered), `checks` (entries to read), `counts`
--     (whether only the number of matches is needed), `exact` (whether the conjunctions are the whole question: else no
--     match is skipped, because the caller must check it first)
--
-- Returns {ids, scores in `order` if gathered, {score, id} to continue after or {} at the end, number of matches, number
-- of skipped matches, number of checks, 1 if gathered, 1 if all matches are certain, members of the sets of the terms}.

local INDEX_BATCH = 100
local UUID_LENGTH = 36

local function walk_index(query)
  local sizes, checks = {}, 0

  local function size_of(set)
    if not sizes[set] then sizes[set] = redis.call('ZCARD', set) end
    return sizes[set]
  end

  -- The sets of a condition that are not empty.
  local function existing(condition)
    local sets = {}
    for _, set in ipairs(condition) do
      if size_of(set) > 0 then sets[#sets + 1] = set end
    end
    return sets
  end

  local certain = query.exact
  local sources, total = {}, 0

  local function rank_of(set, id)
    if query.reverse then return redis.call('ZREVRANK', set, id) end
    return redis.call('ZRANK', set, id)
  end

  local function entries(set, first, last)
    if query.reverse then return redis.call('ZREVRANGE', set, first, last, 'WITHSCORES') end
    return redis.call('ZRANGE', set, first, last, 'WITHSCORES')
  end

  -- Whether the entry (score, id) comes before the other one.
  local function precedes(score, id, other_score, other_id)
    if query.reverse then score, id, other_score, other_id = other_score, other_id, score, id end
    return score < other_score or (score == other_score and id < other_id)
  end

  local function add_source(set, conditions)
    sources[#sources + 1] = {set = set, conditions = conditions, batch = {}, position = 1, rank = 0}
    total = total + size_of(set)
  end

  local conjunctions = {}
  for _, conjunction in ipairs(query.conjunctions) do
    local conditions, smallest, smallest_size, possible = {}, nil, nil, true
    for i, condition in ipairs(conjunction) do
      local sets, size = existing(condition), 0
      for _, set in ipairs(sets) do
        size = size + size_of(set)
        if set ~= condition[1] then certain = false end -- a wider term
      end
      if #sets == 0 then possible = false end
      conditions[i] = sets
      if not smallest or size < smallest_size then smallest, smallest_size = i, size end
    end
    if possible then conjunctions[#conjunctions + 1] = {conditions, smallest} end
  end
  for _, pair in ipairs(conjunctions) do
    local conditions, smallest = pair[1], pair[2]
    if smallest then
      local others = {}
      for i, sets in ipairs(conditions) do
        if i ~= smallest then others[#others + 1] = sets end
      end
      for _, set in ipairs(conditions[smallest]) do add_source(set, others) end
    else
      add_source(query.every, {})
    end
  end

  local members = total
  local gathers = query.order ~= query.every and (query.gathers or query.gathers == nil and total <= query.gather)
  if query.order ~= query.every and not gathers and #conjunctions > 0 then
    local every_record = #conjunctions == 1 and #conjunctions[1][1] == 0
    sources = {}
    add_source(query.order, {})
    if not every_record then sources[1].any_of = conjunctions end
  end

  local function meets(id, conditions)
    for _, sets in ipairs(conditions) do
      local found = false
      for _, set in ipairs(sets) do
        if redis.call('ZSCORE', set, id) then
          found = true
          break
        end
      end
      if not found then return false end
    end
    return true
  end

  local function matches(source, id)
    if not source.any_of then return meets(id, source.conditions) end
    for _, pair in ipairs(source.any_of) do
      if meets(id, pair[1]) then return true end
    end
    return false
  end

  -- One set without other conditions: matches are known by their ranks.
  local plain = #sources == 1 and not sources[1].any_of and #sources[1].conditions == 0
  if certain and plain and query.counts then
    return {{}, {}, {}, size_of(sources[1].set), 0, 0, 0, 1, members}
  end

  local after_score, after_id = nil, nil
  if query.after then after_score, after_id = tonumber(query.after[1]), query.after[2] end

  -- The rank of the first entry after the last one that was read, or of one of the same score before it.
  local function rank_after(set)
    local score = redis.call('ZSCORE', set, after_id)
    if score and tonumber(score) == after_score then return rank_of(set, after_id) + 1 end
    if query.ids_order and set == query.order then
      if query.reverse then return redis.call('ZLEXCOUNT', set, '(' .. after_id, '+') end
      return redis.call('ZLEXCOUNT', set, '-', '(' .. after_id)
    end
    if query.reverse then return redis.call('ZCOUNT', set, '(' .. query.after[1], '+inf') end
    return redis.call('ZCOUNT', set, '-inf', '(' .. query.after[1])
  end

  local skipped, skips = 0, certain and not gathers and query.skip or 0
  for _, source in ipairs(sources) do
    if after_id then source.rank = rank_after(source.set) end
  end
  if plain and skips > 0 then
    skipped = math.min(skips, math.max(size_of(sources[1].set) - sources[1].rank, 0))
    sources[1].rank = sources[1].rank + skipped
  end

  -- The next entry of a source, which stays the next one until it is taken.
  local function peek(source)
    while not source.id and not source.ended do
      if source.position > #source.batch then
        source.batch = entries(source.set, source.rank, source.rank + INDEX_BATCH - 1)
        source.rank, source.position = source.rank + #source.batch / 2, 1
        if #source.batch == 0 then source.ended = true end
      end
      if not source.ended then
        local id, score = source.batch[source.position], tonumber(source.batch[source.position + 1])
        source.position = source.position + 2
        if not after_id or precedes(after_score, after_id, score, id) then source.id, source.score = id, score end
      end
    end
    return source.id
  end

  local function next_source()
    local first
    for _, source in ipairs(sources) do
      if peek(source) and (not first or precedes(source.score, source.id, first.score, first.id)) then first = source end
    end
    return first
  end

  local limit = gathers and query.checks or query.limit
  local ids, scores, count, last_id, last_score, matched_id = {}, {}, 0, nil, nil, nil
  local source = next_source()
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
        if not (certain and query.counts) then ids[#ids + 1] = id end
        if gathers then scores[#scores + 1] = redis.call('ZSCORE', query.order, id) or '0' end
      end
    end
    source = next_source()
  end
  local continue = {}
  if source and last_id then continue = {string.format('%.17g', last_score), last_id} end
  return {ids, scores, continue, count, skipped, checks, gathers and 1 or 0, certain and 1 or 0, members}
end
