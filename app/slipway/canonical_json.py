"""Canonical JSON with types, and the hash of a call of a tool that is made from it.

Two values have the same text only if they are the same JSON with the same types: 1, 1.0, "1" and true differ. The order
of the members of an object does not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """The text of a JSON value. Raises `ValueError` or `TypeError` for a value that is no JSON, such as NaN, an object
    with a name that is no string, or a value that contains itself."""
    _check_names(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def call_hash(tool: str, args: Mapping[str, Any]) -> str:
    """What an approval is about: the name of a tool and its arguments as JSON. 64 hexadecimal characters. Raises as
    `canonical_json`."""
    return hashlib.sha256(canonical_json([tool, dict(args)]).encode()).hexdigest()


def _check_names(value: Any, depth: int = 0) -> None:
    """`json` would write the name 1 as "1", so that two different values had one text."""
    if depth > 200:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        for name, member in value.items():
            if type(name) is not str:
                raise TypeError(f"the name {name!r} of a member is no string")
            _check_names(member, depth + 1)
    elif isinstance(value, list | tuple):
        for member in value:
            _check_names(member, depth + 1)
