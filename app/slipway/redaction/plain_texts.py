"""Plain texts: short ones in which no credential can be, nor in their JSON. Whoever writes many texts that are mostly
the same words and ids asks here before each is searched for all credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from slipway.redaction.credential_patterns import may_have_credentials

_LONGEST_REMEMBERED: Final = 64
"""Characters."""

_MOST_REMEMBERED: Final = 4096

_IDS: Final = re.compile(r"[0-9a-f-]*")
"""UUIDs and hexadecimal ids. No mark of a credential consists of these characters only."""

_REMEMBERED: Final[set[str]] = set()
"""Texts that are plain: names of graphs and nodes, phases, routes. Threads share it: each change is one operation."""


def are_plain(texts: Iterable[str]) -> bool:
    """Whether none of the texts has, or has in its JSON, what looks like a credential. False if that is not certain
    without a search: for a text with characters that JSON escapes."""
    new = [text for text in texts if text not in _REMEMBERED]
    return not new or _IDS.fullmatch("".join(new)) is not None or all(map(_is_plain, new))


def _is_plain(text: str) -> bool:
    # an escape may complete a mark: a line break and `k-` are `\rk-` in JSON
    if not text.isprintable() or '"' in text or "\\" in text or may_have_credentials(text):
        return False
    if len(text) <= _LONGEST_REMEMBERED and _IDS.fullmatch(text) is None:
        if len(_REMEMBERED) >= _MOST_REMEMBERED:
            _REMEMBERED.clear()
        _REMEMBERED.add(text)
    return True
