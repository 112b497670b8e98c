"""The record of a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from slipway.clock import iso
from slipway.redis.hash_fields import Fields
from slipway.runs.record import decode_members
from slipway.threads.ttl import public_ttl

Status = Literal["idle", "busy", "interrupted", "error"]
STATUSES: Final = ("idle", "busy", "interrupted", "error")
SORTABLE: Final = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")


@dataclass(frozen=True, slots=True)
class Thread:
    """The stored record of a thread."""

    thread_id: str
    incarnation: str
    """The creation time in µs. It distinguishes the thread from an earlier one, since deleted, of the same id."""
    created_at: str
    updated_at: str
    state_updated_at: str
    metadata: dict[str, Any]
    status: str
    config: dict[str, Any]
    values: dict[str, Any] | None
    """None until a run or a state write has stored a state."""
    interrupts: dict[str, Any]
    """The interrupts of each task, by task id."""
    error: dict[str, Any] | None
    ttl: dict[str, Any] | None = None

    @property
    def graph_id(self) -> str | None:
        """The graph of its runs: set by the first run, or by the request that created the thread."""
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


def thread_from(thread_id: str, fields: Fields) -> Thread:
    """The record of a stored hash."""

    def parsed(name: str) -> Any:
        return orjson.loads(fields[name]) if fields.get(name) else None

    created_us = int(fields["created_us"])
    return Thread(
        thread_id=thread_id,
        incarnation=str(created_us),
        created_at=iso(created_us),
        updated_at=iso(int(fields.get("updated_us", created_us))),
        state_updated_at=iso(int(fields.get("state_us", created_us))),
        metadata=decode_members(fields, "m:"),
        status=fields["status"].decode(),
        config=_config(fields),
        values=parsed("values"),
        interrupts=parsed("interrupts") or {},
        error=parsed("error"),
        ttl=public_ttl(fields),
    )


def _config(fields: Fields) -> dict[str, Any]:
    """The config that runs stored. It has `configurable` as soon as there was a run, even if that is empty."""
    default: dict[str, Any] = {"configurable": {}} if "m:assistant_id" in fields else {}
    return default | decode_members(fields, "c:")
