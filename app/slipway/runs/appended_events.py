"""What an attempt has appended to the event log of its run: how much, and the last state."""

from __future__ import annotations

from slipway.runs.events import VALUES
from slipway.sse_frames import encode_frame


class AppendedEvents:
    """Counts the events of one attempt."""

    def __init__(self) -> None:
        self.count = 0
        self.size_bytes = 0
        """Bytes of the frames as they are stored."""
        self._values_frame = b""
        """The last state of the root graph that clients received."""
        self._values_number = 0

    def add(self, name: str, frame: bytes, stored: bytes) -> None:
        """Counts an event. `stored` is the stored form of its frame."""
        self.count += 1
        self.size_bytes += len(stored)
        if name == VALUES:
            self._values_frame, self._values_number = frame, self.count

    def distance_of_values(self, result: bytes) -> int | None:
        """How many entries before the next event the last state is, if its data are exactly `result`. None
        otherwise."""
        if not self._values_number or self._values_frame != encode_frame(VALUES, result):
            return None
        return self.count + 1 - self._values_number
