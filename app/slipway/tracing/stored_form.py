"""How spans are stored: parts of a list, one for each write group that had spans.

A part is one MessagePack array: the version of the form, the time in µs since 1970 to which the times in the part are
relative, the number that is added to the numbers of spans to make their ids, how many spans the attempt has left out so
far, and then an array for each span, of one of three shapes:

    started         number, kind, name, number of the parent, start
    started, ended  number, kind, name, number of the parent, start, duration, and perhaps error and attributes
    ended           number below 0, start, duration, and perhaps error and attributes; an earlier part has the rest

Times are in µs. The parent 0 is the root span of the run. The parts of an attempt have the same two numbers in common.

The end of an attempt whose worker died is stored by `run_reap.lua` as a map, which is never encrypted: `attempt`,
`worker`, and its times `started_us` and `ended_us` on the clock of Redis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import ormsgpack

from slipway.errors import StoredDataError
from slipway.telemetry.span import Attribute, Span, SpanKind

VERSION: Final = 1

SpanPart = tuple[bytes, int]
"""A part in its stored form, and how many bytes the stored spans of the run have with it."""

NO_SPANS: Final[SpanPart] = (b"", 0)

KIND_CODES: Final[Mapping[SpanKind, int]] = {
    SpanKind.ATTEMPT: 1,
    SpanKind.SUPERSTEP: 2,
    SpanKind.NODE: 3,
    SpanKind.MODEL: 4,
    SpanKind.TOOL: 5,
}
"""The kinds that are stored. A number is never used for anything else."""

WORKER_DIED: Final = "worker.died"
"""The error of an attempt that ended because its process did."""

_KINDS: Final = {code: kind for kind, code in KIND_CODES.items()}
_STARTED: Final = 5
"""The length of an array for a span that has started and not ended."""


def span_id(base: int, number: int) -> str:
    """The id of a span of an attempt: 16 hexadecimal digits."""
    return f"{base + number:016x}"


def packed_part(base_us: int, id_base: int, left_out: int, spans: Iterable[Sequence[Any]]) -> bytes:
    """One part, from the arrays of its spans."""
    return ormsgpack.packb([VERSION, base_us, id_base, left_out, *spans])


def spans_from(parts: Sequence[bytes], root_id: str) -> tuple[list[Span], int]:
    """The spans in the parts of a run, by their start, and how many were left out. Spans of a part that a later release
    has written in another version are not among them. Raises `StoredDataError` for a part that is damaged."""
    spans: dict[str, Span] = {}
    left_out: dict[int, int] = {}
    killed: list[Mapping[str, Any]] = []
    try:
        for part in parts:
            content = ormsgpack.unpackb(part)
            if isinstance(content, dict):
                killed.append(content)
            elif content[0] == VERSION:
                _, base_us, id_base, left_out[id_base], *arrays = content
                for array in arrays:
                    _read(array, base_us, id_base, root_id, spans)
        for end in killed:
            _end_killed(end, root_id, spans)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StoredDataError(f"the spans of a run are damaged: {error!r}") from error
    return sorted(spans.values(), key=lambda span: span.started_us), sum(left_out.values())


def with_number(kind: SpanKind, name: str, attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    """The attributes of a span, with the number of a superstep, which is stored as its name only."""
    return {"superstep": int(name), **attributes} if kind is SpanKind.SUPERSTEP else attributes


def _read(array: Sequence[Any], base_us: int, id_base: int, root_id: str, spans: dict[str, Span]) -> None:
    own_id = span_id(id_base, abs(array[0]))
    if array[0] < 0:
        if own_id in spans:  # else its start was left out
            spans[own_id] = _with_ending(replace(spans[own_id], started_us=base_us + array[1]), array[2:])
        return
    _, kind, name, parent, start = array[:_STARTED]
    parent_id = span_id(id_base, parent) if parent else root_id
    span = Span(
        own_id, parent_id, _KINDS[kind], name, base_us + start, None, attributes=with_number(_KINDS[kind], name, {})
    )
    spans[own_id] = _with_ending(span, array[_STARTED:])


def _with_ending(span: Span, ending: Sequence[Any]) -> Span:
    if not ending:
        return span
    error = ending[1] if len(ending) > 1 else ""
    attributes = {**span.attributes, **ending[2]} if len(ending) > 2 else span.attributes
    return replace(span, ended_us=span.started_us + ending[0], error=error, attributes=attributes)


def _end_killed(end: Mapping[str, Any], root_id: str, spans: dict[str, Span]) -> None:
    """Ends the span of an attempt that was killed. One that had stored nothing gets a span here."""
    number, ended_us = int(end["attempt"]), int(end["ended_us"])
    attributes: dict[str, Attribute] = {"number": number, "worker": str(end["worker"])}
    name = str(number)
    for span in spans.values():
        if span.kind is SpanKind.ATTEMPT and span.name == name and span.ended_us is None:
            ended_us = max(ended_us, span.started_us)  # two clocks
            spans[span.span_id] = replace(span, ended_us=ended_us, error=WORKER_DIED, attributes=attributes)
            return
    made_id = hashlib.sha256(f"{root_id}:{number}".encode()).hexdigest()[:16]
    started_us = min(int(end["started_us"]), ended_us)
    spans[made_id] = Span(made_id, root_id, SpanKind.ATTEMPT, name, started_us, ended_us, WORKER_DIED, attributes)
