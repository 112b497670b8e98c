"""The record of a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from slipway.clock import iso
from slipway.redis.hash_fields import Fields
from slipway.runs.record import spread
from slipway.threads.ttl import shown as ttl_of

Status = Literal["idle", "busy", "interrupted", "error"]


STATUSES: Final = ("idle", "busy", "interrupted", "error")


SORTABLE: Final = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")


@dataclass(frozen=True, slots=True)
class Thread:
    """The stored record. `values` is None until a run has left a state; `interrupts` maps task id to what is asked.
    `incarnation` is when it was created, in µs: what tells it from another thread that had the same id."""

    thread_id: str
    incarnation: str
    created_at: str
    updated_at: str
    state_updated_at: str
    metadata: dict[str, Any]
    status: str
    config: dict[str, Any]
    values: dict[str, Any] | None
    interrupts: dict[str, Any]
    error: dict[str, Any] | None
    ttl: dict[str, Any] | None = None

    @property
    def graph_id(self) -> str | None:
        """The graph of its runs, once it has had one or was told at creation."""
        graph_id = self.metadata.get("graph_id")
        return graph_id if isinstance(graph_id, str) else None

    def public(self) -> dict[str, Any]:
        """The protocol's Thread object."""
        return {
            "thread_id": self.thread_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "state_updated_at": self.state_updated_at,
            "metadata": self.metadata,
            "status": self.status,
            "config": self.config,
            "values": self.values,
            "interrupts": self.interrupts,
            "error": self.error,
        }


def thread_from(thread_id: str, held: Fields) -> Thread:
    """The record of a stored hash."""

    def parsed(name: str) -> Any:
        return orjson.loads(held[name]) if held.get(name) else None

    created_us = int(held["created_us"])
    return Thread(
        thread_id=thread_id,
        incarnation=str(created_us),
        created_at=iso(created_us),
        updated_at=iso(int(held.get("updated_us", created_us))),
        state_updated_at=iso(int(held.get("state_us", created_us))),
        metadata=spread(held, "m:"),
        status=held["status"].decode(),
        config=_config(held),
        values=parsed("values"),
        interrupts=parsed("interrupts") or {},
        error=parsed("error"),
        ttl=ttl_of(held),
    )


def _config(held: Fields) -> dict[str, Any]:
    """What runs have left: once there was one, it says what is configurable, if only that nothing is."""
    ran: dict[str, Any] = {"configurable": {}} if "m:assistant_id" in held else {}
    return ran | spread(held, "c:")
