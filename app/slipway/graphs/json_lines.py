"""The line of a value in a JSON text, for errors about values that a parser has already accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The number of the line on which the value at `path` begins, from 1. A path that leads nowhere has the line of its
    last part that exists. None if the text before it is not JSON."""
    try:
        return text.count("\n", 0, _position(text, path)) + 1
    except (ValueError, IndexError):
        return None


def _position(text: str, path: Sequence[str | int]) -> int:
    position = _after_space(text, 0)
    for part in path:
        member = _member(text, position, part)
        if member is None:
            break
        position = member
    return position


def _member(text: str, position: int, part: str | int) -> int | None:
    """The position of the member `part` of the object or list that begins at `position`. None if it has none."""
    if text[position] != ("{" if isinstance(part, str) else "["):
        return None
    position, index = _after_space(text, position + 1), 0
    while text[position] not in "}]":
        found: str | int = index
        if isinstance(part, str):
            found, position = _DECODER.raw_decode(text, position)
            position = _after_space(text, _after_space(text, position) + 1)  # after the colon
        if found == part:
            return position
        _, position = _DECODER.raw_decode(text, position)
        position, index = _after_space(text, position), index + 1
        if text[position] == ",":
            position = _after_space(text, position + 1)
    return None


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()
