"""The time axis of a trace: where its spans are between its begin and its end.

A run may work for a second and wait for people for a week. So the times in which nothing worked are shortened, if they
are longer than those in which something did: together they get `_SHARE_OF_WAITS` of the axis.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from slipway.run_traces.record import AssembledTrace
from slipway.telemetry.span import Span, SpanKind

_SHARE_OF_WAITS: Final = 0.4
_WORK: Final = frozenset(
    {SpanKind.REQUEST, SpanKind.ATTEMPT, SpanKind.SUPERSTEP, SpanKind.NODE, SpanKind.MODEL, SpanKind.TOOL}
    | {SpanKind.WEBHOOK}
)
_LEAST_US: Final = 1


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Times in µs, at which the scale changes, and where each is on the axis, from 0 to 1."""

    times: Sequence[int]
    places: Sequence[float]
    shortened: bool
    """Whether waits are shortened."""

    def place(self, time_us: int) -> float:
        """Where a time is, from 0 to 1."""
        times, places = self.times, self.places
        if time_us <= times[0]:
            return 0.0
        if time_us >= times[-1]:
            return 1.0
        number = bisect_right(times, time_us) - 1
        part = (time_us - times[number]) / (times[number + 1] - times[number])
        return places[number] + part * (places[number + 1] - places[number])

    def time_at(self, place: float) -> int:
        """The time at a place, in µs."""
        number = min(max(bisect_right(self.places, place) - 1, 0), len(self.times) - 2)
        width = self.places[number + 1] - self.places[number]
        part = (place - self.places[number]) / width if width else 0.0
        return round(self.times[number] + part * (self.times[number + 1] - self.times[number]))


def axis_of(trace: AssembledTrace) -> TimeAxis:
    """The axis from the first start to the last end, or to now."""
    first, last = trace.started_us, max(trace.last_us, trace.started_us + _LEAST_US)
    work = _united(_work_of((each.span for _, each in trace.spans), last), first, last)
    busy = sum(end - start for start, end in work)
    idle = last - first - busy
    shortened = busy > 0 and idle > busy * _SHARE_OF_WAITS / (1 - _SHARE_OF_WAITS)
    scale = busy * _SHARE_OF_WAITS / (1 - _SHARE_OF_WAITS) / idle if shortened else 1.0
    whole = busy + idle * scale
    times, places, at, place = [first], [0.0], first, 0.0
    for start, end in [*work, (last, last)]:
        for until, factor in ((start, scale), (end, 1.0)):
            if until > at:
                place += (until - at) * factor / whole
                times.append(until)
                places.append(min(place, 1.0))
                at = until
    places[-1] = 1.0
    return TimeAxis(times, places, shortened)


def _work_of(spans: Iterable[Span], last: int) -> list[tuple[int, int]]:
    return [(span.started_us, last if span.ended_us is None else span.ended_us) for span in spans if span.kind in _WORK]


def _united(intervals: Iterable[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for begun, over in sorted(intervals):
        start, end = max(begun, first), min(over, last)
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        elif end > start:
            united.append((start, end))
    return united
