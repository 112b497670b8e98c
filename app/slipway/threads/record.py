"""The record of a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from slipway.clock import iso
from slipway.graph_versions.pin import PIN_FIELDS, pin_of
from slipway.indexes.terms import metadata_terms, value_terms
from slipway.redis.hash_fields import CONFIG_PREFIX, METADATA_PREFIX, Fields
from slipway.runs.record import decode_members
from slipway.serialization.at_rest import opened, opened_json
from slipway.serialization.places import THREAD

Status = Literal["idle", "busy", "interrupted", "error"]
STATUSES: Final = ("idle", "busy", "interrupted", "error")
SORTABLE: Final = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread as it was stored at the moment of reading. It does not follow later changes."""

    thread_id: str
    """A UUID, chosen by the client or the web process. Never changes."""
    incarnation: str
    """The creation time in µs. It distinguishes the thread from an earlier one, since deleted, of the same id."""
    created_at: str
    """`incarnation` as ISO 8601."""
    updated_at: str
    """When the record or one of the thread's runs changed last, as ISO 8601."""
    state_updated_at: str
    """When a run or a state write changed `values` last, as ISO 8601. Equals `created_at` before."""
    metadata: dict[str, Any]
    """What requests wrote, and the assistant and the graph of the run that was created last. A request merges members
    into it."""
    status: str
    """`idle`, `busy`, `interrupted` or `error`. Scripts change it when a run is created, starts or ends, and with each
    state write."""
    config: dict[str, Any]
    """Members of the configs of runs and their assistants, which each new run merges into it. Empty if the thread never
    had a run."""
    stored_values: bytes | None
    """The stored form of `values`. It is large if the state is, and most readers of a thread do not need it."""
    interrupts: dict[str, Any]
    """The open interrupts of each task, by task id. Replaced together with `values`; empty if none is open."""
    error: dict[str, Any] | None
    """The error with which the last run ended, as clients receive it. None if that run did not fail."""
    version: str | None = None
    """The version of its graph to which it is pinned. The script that creates its first run writes it, or else the
    first claim; afterwards only the script that moves it, and a claim by an interchangeable version. None before, and
    for threads of earlier releases."""
    schema: str | None = None
    """The schema of the version with which it was executed last, 16 hex digits. None if it is not known. Written with
    `version`."""
    ttl: dict[str, Any] | None = None
    """The protocol's object: strategy, minutes and the end of the time. None if it has no time to live."""

    @property
    def graph_id(self) -> str | None:
        """The graph of its runs: set by the first run, or by the request that created the thread."""
        graph_id = self.metadata.get("graph_id")
        return graph_id if isinstance(graph_id, str) else None

    @property
    def values(self) -> dict[str, Any] | None:
        """The channels of the latest checkpoint, as JSON. A run that ends and a state write replace it. None before. It
        is decoded each time."""
        values: dict[str, Any] | None = _parsed(self.stored_values)
        return values

    def public(self) -> dict[str, Any]:
        """The protocol's Thread object. `values` are JSON text already."""
        values = self.stored_values
        return {
            "thread_id": self.thread_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "state_updated_at": self.state_updated_at,
            "metadata": self.metadata,
            "status": self.status,
            "config": self.config,
            "values": orjson.Fragment(opened(values, THREAD)) if values else None,
            "interrupts": self.interrupts,
            "error": self.error,
        } | ({"version": self.version} if self.version else {})


def _parsed(stored: bytes | None) -> Any:
    return opened_json(stored, THREAD) if stored else None


def thread_from(thread_id: str, fields: Fields) -> Thread:
    created_us = int(fields["created_us"])
    metadata = decode_members(fields, METADATA_PREFIX)
    pin = pin_of(metadata.get("graph_id"), *(fields.get(name) for name in PIN_FIELDS))
    return Thread(
        thread_id=thread_id,
        incarnation=str(created_us),
        created_at=iso(created_us),
        updated_at=iso(int(fields.get("updated_us", created_us))),
        state_updated_at=iso(int(fields.get("state_us", created_us))),
        metadata=metadata,
        status=fields["status"].decode(),
        config=_config(fields),
        stored_values=fields.get("values"),
        interrupts=_parsed(fields.get("interrupts")) or {},
        error=_parsed(fields.get("error")),
        version=pin.version or None,
        schema=pin.schema or None,
        ttl=_ttl(fields),
    )


def _text(stored: bytes | None) -> str | None:
    return stored.decode() if stored else None


IndexedThread = tuple[str, str, str, str]
"""Id, time of the last change in µs (or empty), and the packed index terms of metadata and values of a thread."""


def indexed_thread(thread_id: str, fields: Fields | None) -> IndexedThread:
    """The terms that follow from the record; empty for an unknown thread."""
    if fields is None:
        return (thread_id, "", "", "")
    values = opened(fields["values"], THREAD) if fields.get("values") else b"null"
    size = len(METADATA_PREFIX)
    members = {name[size:]: text for name, text in fields.items() if name.startswith(METADATA_PREFIX)}
    return (thread_id, fields.get("updated_us", b"").decode(), metadata_terms(members), value_terms(None, values))


def _config(fields: Fields) -> dict[str, Any]:
    """The config that runs stored. It has `configurable` as soon as there was a run, even if that is empty."""
    default: dict[str, Any] = {"configurable": {}} if f"{METADATA_PREFIX}assistant_id" in fields else {}
    members = {name: stored for name, stored in fields.items() if name.startswith(CONFIG_PREFIX)}
    return default | {name[len(CONFIG_PREFIX) :]: opened_json(stored, THREAD) for name, stored in members.items()}


def _ttl(fields: Fields) -> dict[str, Any] | None:
    """The protocol's `ttl` object of a stored thread; None without a time to live."""
    if "ttl" not in fields:
        return None
    minutes = float(fields["ttl"])
    return {
        "strategy": fields["ttl_strategy"].decode(),
        "ttl_minutes": int(minutes) if minutes.is_integer() else minutes,
        "expires_at": iso(int(fields["expires_us"])),
    }
