"""One event of the event protocol, and the numbers of events.

The number of an event is `ordinal << ORDINAL_BITS` plus the position of the event in its run. The ordinal of a run is
assigned by the script that starts the run, or that cancels it before it has started. So later events of a thread have
higher numbers, and a number does not change when the logs of earlier runs expire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block

ORDINAL_BITS: Final = 30

Namespace = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProtocolEvent:
    """`timestamp` is in ms since the epoch. `node` is set if a node caused the event."""

    seq: int
    event_id: str
    method: str
    namespace: Namespace
    timestamp: int
    data: dict[str, Any]
    node: str | None = None

    @property
    def ordinal(self) -> int:
        return self.seq >> ORDINAL_BITS

    def encoded(self) -> bytes:
        """JSON, as a WebSocket sends it and as the data of the SSE block."""
        params: dict[str, Any] = {"namespace": self.namespace, "timestamp": self.timestamp, "data": self.data}
        if self.node is not None:
            params["node"] = self.node
        return dumps(
            {"type": "event", "event_id": self.event_id, "seq": self.seq, "method": self.method, "params": params}
        )

    def block(self) -> bytes:
        """An SSE block with the method as its name and `seq` as its id."""
        return encode_block(self.method, self.encoded(), str(self.seq))


def base_number(ordinal: int) -> int:
    """The number before the first event of a run. All events of earlier runs have lower numbers."""
    return ordinal << ORDINAL_BITS
