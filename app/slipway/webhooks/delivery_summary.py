"""A delivery as operators see it in lists: what it is about, its state, and what happened last."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from slipway.clock import iso

FIELDS: Final = (
    "delivery_state", "enqueued_us", "type", "owner", "endpoint_id", "run_id", "thread_id", "graph_id",
    "tries", "called_us", "next_try_us", "settled_us", "problem", "unbuilt",
)  # fmt: skip
"""The fields of the record that a summary is made of."""


class DeliveryState(StrEnum):
    """`DEAD`: a dead letter. Nobody has accepted it, and it is not tried again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """Times are in µs, and None if there is no such time."""

    delivery_id: str
    """The `webhook-id`."""
    state: DeliveryState
    created_us: int
    type: str | None
    """None if an earlier release has created it."""
    owner: str | None
    """The owner who may see it; None if only operators may."""
    endpoint_id: str | None
    run_id: str | None
    thread_id: str | None
    graph_id: str | None
    tries: int
    called_us: int | None
    """When the try in progress began."""
    next_try_us: int | None
    settled_us: int | None
    problem: str | None

    def public(self) -> dict[str, Any]:
        """As clients receive it."""
        return {
            "delivery_id": self.delivery_id,
            "type": self.type,
            "state": self.state.value,
            "created_at": iso(self.created_us),
            "endpoint_id": self.endpoint_id,
            "run_id": self.run_id,
            "thread_id": self.thread_id,
            "graph_id": self.graph_id,
            "owner": self.owner,
            "tries": self.tries,
            "calling_since": _iso(self.called_us),
            "next_try_at": _iso(self.next_try_us),
            "settled_at": _iso(self.settled_us),
            "problem": self.problem,
        }


def _iso(time_us: int | None) -> str | None:
    return None if time_us is None else iso(time_us)
