"""The record of a cron: a schedule with a run request. Its runs execute on the cron's thread, or each on a thread of
its own.

Exactly one run is created for each due time, however many workers check the schedule and whichever of them dies. A
worker first creates the run, then advances the cron to its next due time: two scripts, because a cron and its runs may
live in different shards. Two facts make a repetition harmless:

- Every worker computes the same id for the run of a due time, and the script that creates the run stores that the due
  time is handled (`redis/lua/lib/due_times.lua`). This stays stored if the run is deleted before the cron was advanced.
- The cron is advanced only if it still has the due time that the run was created for.

After downtime one run is created for all missed due times; its metadata has their number (`cron_missed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from slipway.clock import iso
from slipway.crons.schedules import Schedule
from slipway.errors import InvalidRequest
from slipway.indexes.terms import Space, metadata_terms, scalar_term
from slipway.redis.hash_fields import Fields
from slipway.redis.shard_ids import run_id_on
from slipway.redis.shards import Shards
from slipway.runs.run_request import RunRequest, run_request_from
from slipway.serialization.at_rest import opened_json, sealed_json
from slipway.serialization.json_encoding import dumps, json_members
from slipway.serialization.places import cron_place

_FORMER_NAMESPACE: Final = UUID("b6f0c9a4-56f4-4c0b-8a35-2d6f0c1f7f0e")
"""For crons that were stored by an earlier release and have no seed."""


@dataclass(frozen=True, slots=True)
class NewCron:
    """A validated cron. `payload` is the body that the client sent, `request` the run request of each due time."""

    assistant_id: str
    thread_id: str | None
    schedule: Schedule
    enabled: bool
    on_run_completed: str | None
    payload: dict[str, Any]
    metadata: dict[str, Any]
    request: RunRequest

    def fields(self, cron_id: str, thread_incarnation: str | None = None) -> dict[str, str]:
        """The stored fields. None is stored as a missing field. `thread_incarnation` is given when the cron is created,
        and never changes."""
        place = cron_place(cron_id)
        fields = {
            "assistant_id": self.assistant_id,
            "thread_id": self.thread_id,
            "thread_created_us": thread_incarnation,
            "schedule": self.schedule.text,
            "timezone": self.schedule.zone,
            "end_ms": None if self.schedule.end_ms is None else str(self.schedule.end_ms),
            "enabled": str(int(self.enabled)),
            "on_run_completed": self.on_run_completed,
            "payload": sealed_json(self.payload, place),
            "metadata": dumps(self.metadata).decode(),
            "request": sealed_json(self.request.stored(), place),
        }
        return {name: value for name, value in fields.items() if value is not None}

    def terms(self) -> str:
        """The packed index terms."""
        return _terms(self.assistant_id, self.thread_id, enabled=self.enabled, metadata=json_members(self.metadata))


def stored_terms(fields: Fields) -> str:
    """The packed index terms of a stored cron."""
    thread_id, metadata = fields.get("thread_id"), json_members(orjson.loads(fields["metadata"]))
    return _terms(
        fields["assistant_id"].decode(),
        None if thread_id is None else thread_id.decode(),
        enabled=fields["enabled"] == b"1",
        metadata=metadata,
    )


def _terms(assistant_id: str, thread_id: str | None, *, enabled: bool, metadata: Mapping[str, str]) -> str:
    """`metadata` has JSON texts."""
    members = {"assistant_id": assistant_id, "thread_id": thread_id, "enabled": enabled}
    terms = [scalar_term(Space.RECORD, name, value) for name, value in members.items()]
    return "".join(term for term in terms if term is not None) + metadata_terms(metadata)


OPTIONAL: Final = ("timezone", "end_ms", "on_run_completed", "thread_id")


@dataclass(frozen=True, slots=True)
class Cron:
    """The stored record of a cron. Due times are in ms since the epoch."""

    cron_id: str
    """A UUID. Never changes."""
    incarnation: str
    """The creation time in µs. It distinguishes the cron from an earlier one, since deleted, of the same id."""
    assistant_id: str
    """The assistant of its runs. A request can change it."""
    thread_id: str | None
    """The thread of its runs. None if a thread is created for each run. Never changes."""
    thread_created_us: str | None
    """The incarnation of the thread. The cron creates no runs on a later thread with the same id. None without a
    thread."""
    schedule: Schedule
    """When it is due: cron expression, time zone and end. A request can change it, and `next_ms` with it."""
    next_ms: int | None
    """The next due time. None for a cron that is disabled or has no due time left. The scheduler changes it after each
    due time."""
    due_if_enabled_ms: int | None
    """The next due time that a disabled cron would have. Computed at reading, not stored; None for an enabled cron."""
    enabled: bool
    """Whether it creates runs. A request can change it."""
    on_run_completed: str | None
    """`delete` or `keep`: what happens to the thread that was created for a run when the run ends. None if the request
    named a thread."""
    payload: dict[str, Any]
    """The body that the client sent, with the changes of later requests. Clients receive it; nothing else reads it."""
    metadata: dict[str, Any]
    """What clients wrote. Each run of the cron gets these members. A request can replace them."""
    request: RunRequest
    """The run request of each due time. A request that changes the cron replaces it."""
    created_at: str
    """`incarnation` as ISO 8601."""
    updated_at: str
    """When a request changed the cron last, as ISO 8601."""
    last_run_id: str | None
    """The run of the last due time. None before the first run. The scheduler changes it."""
    problem: str | None
    """Why no run was created for the last due time. None if one was created. The scheduler changes it."""
    seed: str | None
    """A random UUID that is never public: clients must not be able to compute the ids of future threads."""

    @property
    def end_time(self) -> str | None:
        return None if self.schedule.end_ms is None else iso(self.schedule.end_ms * 1000)

    @property
    def user_id(self) -> str | None:
        """The owner: the user who created the cron, for whom its runs execute."""
        user = self.request.user
        return None if user is None else str(user["identity"])

    @property
    def next_run_date(self) -> str | None:
        """The next due time, for a disabled cron the one that it would have. None when no due time is left."""
        due_ms = self.next_ms if self.enabled else self.due_if_enabled_ms
        return None if due_ms is None else iso(due_ms * 1000)

    def public(self) -> dict[str, Any]:
        """The protocol's Cron object, and the run or the problem of the last due time."""
        return {
            "cron_id": self.cron_id,
            "assistant_id": self.assistant_id,
            "thread_id": self.thread_id,
            "user_id": self.user_id,
            "schedule": self.schedule.text,
            "timezone": self.schedule.zone,
            "end_time": self.end_time,
            "next_run_date": self.next_run_date,
            "enabled": self.enabled,
            "on_run_completed": self.on_run_completed,
            "payload": self._public_payload(),
            "metadata": self.metadata,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "last_run_id": self.last_run_id,
            "problem": self.problem,
        }

    def _public_payload(self) -> dict[str, Any]:
        """The client's body with the ids that the cron's runs have."""
        config = self.payload.get("config") or {}
        configurable = {**(config.get("configurable") or {}), "cron_id": self.cron_id}
        ids = {"assistant_id": self.assistant_id, "schedule": self.schedule.text}
        return {**self.payload, **ids, "config": {**config, "configurable": configurable}}

    def disabled(self) -> NewCron:
        """The same cron, disabled."""
        return NewCron(
            assistant_id=self.assistant_id,
            thread_id=self.thread_id,
            schedule=self.schedule,
            enabled=False,
            on_run_completed=self.on_run_completed,
            payload=self.payload | {"enabled": False},
            metadata=self.metadata,
            request=self.request,
        )

    def run_ids(self, due_ms: int, shards: Shards) -> tuple[str, str]:
        """The ids of the run of a due time and of its thread, which is created for it if the cron has none. Every
        worker computes the same ids. All runs of a
        stateless cron are in one shard, that of its own id (`due_time_scripts`)."""
        seed = uuid5(_FORMER_NAMESPACE if self.seed is None else UUID(self.seed), f"{self.cron_id}:{due_ms}")
        thread_id = self.thread_id or shards.id_beside(self.cron_id, str(uuid5(seed, "thread")))
        return run_id_on(thread_id, str(seed)), thread_id

    def run_request(self, due_ms: int, missed: int) -> RunRequest:
        """The request for the run of a due time. `missed` is how many further due times the run replaces."""
        request = self.request
        cron_metadata: dict[str, Any] = {"cron_id": self.cron_id, "cron_due": iso(due_ms * 1000)}
        if missed:
            cron_metadata["cron_missed"] = missed
        return replace(request, metadata=self.metadata | request.metadata | cron_metadata)


def cron_from(fields: Fields, now_ms: int) -> Cron:
    """The record of a stored hash. `now_ms` is needed for the due time that a disabled cron would have."""

    def text(name: str) -> str | None:
        return fields[name].decode() if name in fields else None

    def number(name: str) -> int | None:
        return int(fields[name]) if name in fields else None

    enabled, place = fields["enabled"] == b"1", cron_place(fields["cron_id"].decode())
    schedule = Schedule(fields["schedule"].decode(), text("timezone"), number("end_ms"))
    return Cron(
        cron_id=fields["cron_id"].decode(),
        incarnation=fields["created_us"].decode(),
        assistant_id=fields["assistant_id"].decode(),
        thread_id=text("thread_id"),
        thread_created_us=text("thread_created_us"),
        schedule=schedule,
        next_ms=number("next_ms"),
        due_if_enabled_ms=None if enabled else _due_if_enabled(schedule, now_ms),
        enabled=enabled,
        on_run_completed=text("on_run_completed"),
        payload=opened_json(fields["payload"], place),
        metadata=orjson.loads(fields["metadata"]),
        request=run_request_from(opened_json(fields["request"], place)),
        created_at=iso(int(fields["created_us"])),
        updated_at=iso(int(fields["updated_us"])),
        last_run_id=text("last_run_id"),
        problem=text("problem"),
        seed=text("seed"),
    )


def _due_if_enabled(schedule: Schedule, now_ms: int) -> int | None:
    """None also when the system has no such time zone any more: one such cron must not fail a search of all crons."""
    try:
        return schedule.after(now_ms)
    except InvalidRequest:
        return None
