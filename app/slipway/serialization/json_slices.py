"""Parses large JSON in slices, between which the event loop continues.

orjson parses a text at once and holds the interpreter lock meanwhile. Texts that take long have long lists of objects.
Such a text is cut between two objects of one list, `…}, {…`, into a head, pieces and a tail. The pieces are parsed as
lists. Head and tail are parsed together, with a number in the place of the pieces; the lists then replace this number.

A cut might be within a string, or between objects of different lists. Then the text is parsed at once. It is noticed,
because the number is then within a string, or not legal at all, so it is not found as a member of a list; and because
a piece that is not a sequence of complete values is not legal as a list.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import orjson

from slipway.serialization.slices import LARGE_BYTES
from slipway.serialization.turns import Turn

PIECE_BYTES: Final = 128 * 1024
HEAD_BYTES: Final = 1024
"""Where the search for the first cut begins. It is small, because the head is parsed in one piece."""
_BETWEEN_OBJECTS: Final = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")


async def loads_in_turns(raw: bytes) -> Any:
    """The same value as `orjson.loads`. Raises `orjson.JSONDecodeError`."""
    cuts = list(_cuts(raw)) if len(raw) >= LARGE_BYTES else []
    if len(cuts) > 1:
        try:
            return await _joined(raw, cuts)
        except (orjson.JSONDecodeError, LookupError):
            pass
    return orjson.loads(raw)


def _cuts(raw: bytes) -> Iterator[tuple[int, int]]:
    """The ends of objects after which another follows, each with the start of that one, about `PIECE_BYTES` apart."""
    at = HEAD_BYTES
    while (between := _BETWEEN_OBJECTS.search(raw, at)) is not None:
        yield between.start() + 1, between.end() - 1
        at = between.end() + PIECE_BYTES


async def _joined(raw: bytes, cuts: list[tuple[int, int]]) -> Any:
    """Raises `LookupError` if the cuts are not between objects of one list, and `orjson.JSONDecodeError`."""
    head, tail = raw[: cuts[0][0]], raw[cuts[-1][1] :]
    mark = secrets.randbits(62)
    value = orjson.loads(b"%b,%d,%b" % (head, mark, tail))
    members, position = _place_of(mark, value)
    found: list[Any] = []
    turn = Turn()
    for (_, start), (end, _) in pairwise(cuts):
        found += orjson.loads(b"[%b]" % raw[start:end])
        if turn.is_over:
            await turn.pause()
    members[position : position + 1] = found
    return value


def _place_of(mark: int, value: Any) -> tuple[list[Any], int]:
    """The list with the number, and its position. Raises `LookupError`."""
    waiting = [value]
    while waiting:
        container = waiting.pop()
        if type(container) is list:
            if mark in container:
                return container, container.index(mark)
            waiting += container
        elif type(container) is dict:
            waiting += container.values()
    raise LookupError
