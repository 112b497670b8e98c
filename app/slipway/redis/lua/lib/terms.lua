-- Index terms: see `indexes/terms.py`. A packed text is the concatenation of terms.

local TERM_LENGTH = 20
