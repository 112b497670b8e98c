-- Index terms: see `indexes/terms.py`. A packed text is the concatenation of terms.

local TERM_LENGTH = 20
local MEMBER_LENGTH = 8
local MAX_TERMS = 64
local ANY_METADATA = 'm*******************'

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
  if not stored or terms == ANY_METADATA or #kept > MAX_TERMS * TERM_LENGTH then return ANY_METADATA end
  return kept
end
