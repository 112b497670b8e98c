"""Whether a JSON value has another in it: how searches match metadata and values."""

from __future__ import annotations

from typing import Any


def contains(whole: Any, part: Any) -> bool:
    """Containment as in JSON databases: every member of `part` is in `whole`, at any depth."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and contains(whole[k], v) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(member, wanted) for member in whole) for wanted in part)
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)
