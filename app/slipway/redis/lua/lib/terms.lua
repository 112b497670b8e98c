-- Index terms: see `indexes/terms.py`. A packed text is the concatenation of terms.

local TERM_LENGTH = 20
local MEMBER_LENGTH = 8
local MAX_TERMS = 64
local ANY_METADATA = 'm*******************'
local MANY_MEMBERS = 'm+++++++++++++++++++'
local OWNER = 'cUc2aZNK' -- the digest of the member `owner`

-- The terms of metadata that have too many, of which `terms` has those of the owner.
local function many_terms(terms)
  local packed = MANY_MEMBERS
  for i = 1, #terms, TERM_LENGTH do
    if string.sub(terms, i, i + MEMBER_LENGTH - 1) == OWNER then
      packed = packed .. string.sub(terms, i, i + TERM_LENGTH - 1)
    end
  end
  return packed
end

local function has_many(terms)
  return string.sub(terms, 1, TERM_LENGTH) == MANY_MEMBERS
end

-- The terms of metadata after some members were replaced. `members` are their digests, concatenated. A record of an
-- earlier release has no terms until it is indexed: it gets the term that every search reads.
local function replaced_terms(stored, members, terms)
  if members == '' or stored == ANY_METADATA then return stored or ANY_METADATA end
  local replaced, kept = {}, terms
  for i = 1, #members, MEMBER_LENGTH do replaced[string.sub(members, i, i + MEMBER_LENGTH - 1)] = true end
  for i = 1, #(stored or ''), TERM_LENGTH do
    if not replaced[string.sub(stored, i, i + MEMBER_LENGTH - 1)] then
      kept = kept .. string.sub(stored, i, i + TERM_LENGTH - 1)
    end
  end
  if not stored then return ANY_METADATA end
  if has_many(stored) or has_many(terms) or #kept > MAX_TERMS * TERM_LENGTH then return many_terms(kept) end
  return kept
end
