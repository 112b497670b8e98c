"""One event of a run's log: its id, its name, and the bytes that clients receive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from slipway.serialization.at_rest import opened
from slipway.serialization.places import log_place
from slipway.sse_frames import data_of, encode_frame, with_id

EventPosition = tuple[int, int]
"""An event id as two numbers, which can be compared."""

START: Final[EventPosition] = (0, 0)
START_ID: Final = "0"
"""The position of a client that wants all events."""
NEW_ONLY: Final = "$"
"""The position of a client that wants new events only."""
VALUES: Final = "values"
"""The name of the events that contain a state of the root graph."""
_SAME_AS_EVENT: Final = b"\x1f"
"""Begins a stored result that is the data of an earlier `values` event of the same log. The number of entries between
both, plus one, follows. Compression uses other bytes."""
CONFIRMED_END: Final = b"\x1e"
"""Begins the stored result of a replicated run, before the result itself, which may be empty. Compression uses other
bytes."""
_FIRST_ATTEMPT: Final = b'"attempt":1}'


def event_position(event_id: str) -> EventPosition:
    """The numbers of an id such as `1795344333862-0` (or `1795344333862`)."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of an event log. `block` is the bytes that every SSE client receives, including the id line and the
    blank line."""

    id: str
    position: EventPosition
    name: str
    block: bytes
    own_result: bytes | None = None
    """The result that is stored with an `end` event."""
    result_distance: int = 0
    """How many entries before this one the event is whose data are the result, if `result_event` is not known yet; else
    0."""
    needs_confirmation: bool = False
    """Whether clients receive it when replicas have it: the `end` event of a replicated run."""
    result_event: Event | None = None
    """The event whose data are the result."""

    @classmethod
    def from_stored(cls, run_id: str, event_id: str, name: str, frame: bytes, result: bytes | None = None) -> Event:
        """`frame` and `result` as they are stored in the log of the run."""
        place, position = log_place(run_id), event_position(event_id)
        block = with_id(opened(frame, place), event_id)
        needs_confirmation = result is not None and result[:1] == CONFIRMED_END
        if result is not None and needs_confirmation:
            result = result[1:]
        distance = int(result[1:]) if result and result[:1] == _SAME_AS_EVENT else 0
        own_result = opened(result, place) if result and not distance else None
        return cls(event_id, position, name, block, own_result, distance, needs_confirmation)

    @classmethod
    def from_entry(cls, run_id: str, entry: Sequence[Any]) -> Event:
        """From an entry of the stream of a run, as Redis returns it."""
        fields = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
        return cls.from_stored(run_id, entry[0].decode(), fields[b"n"].decode(), fields[b"f"], fields.get(b"r"))

    @classmethod
    def from_notification(cls, run_id: str, entry: Sequence[Any]) -> Event:
        """From an entry of a notification: name, frame, result, id. Frame and result are texts if no frame or result of
        the notification is compressed or encrypted."""
        name, frame, result, event_id = entry
        return cls.from_stored(run_id, event_id, name, _bytes(frame), _bytes(result))

    @property
    def result(self) -> bytes | None:
        """What clients receive that wait for the result of the run, as JSON: some `end` events have it. The event log
        finds `result_event` before it returns an event."""
        return self.own_result if self.result_event is None else self.result_event.data

    def with_result_of(self, event: Event | None) -> Event:
        """The same event, whose result is the data of `event`. Without a result if that is no `values` event."""
        return replace(self, result_distance=0, result_event=event if event and event.name == VALUES else None)

    @property
    def data(self) -> bytes:
        """The JSON data."""
        return data_of(self.block)

    @property
    def is_first(self) -> bool:
        """Whether it is the event with which every log starts."""
        return self.name == "metadata" and self.data.endswith(_FIRST_ATTEMPT)

    @property
    def is_end(self) -> bool:
        """Whether it is the last event of its log."""
        return self.name == "end"


def same_as_event(distance: int) -> bytes:
    """The stored result of an `end` event that equals the data of the `values` event `distance` entries before it."""
    return _SAME_AS_EVENT + str(distance).encode()


def _bytes(sent: str | bytes) -> bytes:
    return sent if isinstance(sent, bytes) else sent.encode()


def gap_event(missing_after: str) -> Event:
    """The event that informs a client that the log no longer has the events after its position."""
    frame = encode_frame("gap", b'{"missing_after":"%b"}' % missing_after.encode())
    return Event(missing_after, event_position(missing_after), "gap", with_id(frame, missing_after))
