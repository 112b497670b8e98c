"""Crons: runs that are made at certain times, each on a thread of its cron or on one of its own.

Each due time makes exactly one run, whatever is killed and however many workers look: the script that makes the run
moves the cron on to its next due time in the same moment, and does neither when the cron is somewhere else already.
After downtime there is one run for all the times that passed, and its metadata says how many (`cron_missed`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from slipway.clock import iso
from slipway.crons.schedules import Schedule
from slipway.errors import InvalidRequest
from slipway.redis.hash_fields import Fields
from slipway.runs.run_request import RunRequest, run_request_from
from slipway.serialization.json_encoding import dumps

_FORMER_NAMESPACE: Final = UUID("b6f0c9a4-56f4-4c0b-8a35-2d6f0c1f7f0e")
"""Of crons that an earlier release stored, which have no seed."""


@dataclass(frozen=True, slots=True)
class NewCron:
    """A cron, validated: `payload` is what was sent, `request` what it asks for at each due time."""

    assistant_id: str
    thread_id: str | None
    schedule: Schedule
    enabled: bool
    on_run_completed: str | None
    payload: dict[str, Any]
    metadata: dict[str, Any]
    request: RunRequest

    def fields(self) -> dict[str, str]:
        """As it is stored; what is None has no field."""
        found = {
            "assistant_id": self.assistant_id,
            "thread_id": self.thread_id,
            "schedule": self.schedule.text,
            "timezone": self.schedule.zone,
            "end_ms": None if self.schedule.end_ms is None else str(self.schedule.end_ms),
            "enabled": str(int(self.enabled)),
            "on_run_completed": self.on_run_completed,
            "payload": dumps(self.payload).decode(),
            "metadata": dumps(self.metadata).decode(),
            "request": dumps(asdict(self.request)).decode(),
        }
        return {name: value for name, value in found.items() if value is not None}


OPTIONAL: Final = ("timezone", "end_ms", "on_run_completed", "thread_id")


@dataclass(frozen=True, slots=True)
class Cron:
    """The stored record. `next_ms` is None while it rests; `due_if_enabled_ms` is when a disabled one would be due.
    `problem` is why the last due time made no run."""

    cron_id: str
    incarnation: str
    """When it was created, in µs: what tells it from another cron that had the same id."""
    assistant_id: str
    thread_id: str | None
    schedule: Schedule
    next_ms: int | None
    due_if_enabled_ms: int | None
    enabled: bool
    on_run_completed: str | None
    payload: dict[str, Any]
    metadata: dict[str, Any]
    request: RunRequest
    created_at: str
    updated_at: str
    last_run_id: str | None
    problem: str | None
    seed: str | None
    """Random, and shown to nobody: whoever knows the cron cannot compute the ids of the threads that it will make."""

    @property
    def end_time(self) -> str | None:
        """The last moment that may be due."""
        return None if self.schedule.end_ms is None else iso(self.schedule.end_ms * 1000)

    @property
    def user_id(self) -> str | None:
        """Who made it, and for whom its runs are."""
        user = self.request.user
        return None if user is None else str(user["identity"])

    @property
    def next_run_date(self) -> str | None:
        """The next due time; of one that is disabled, the one that it would have. None when there is none any more."""
        due_ms = self.next_ms if self.enabled else self.due_if_enabled_ms
        return None if due_ms is None else iso(due_ms * 1000)

    def public(self) -> dict[str, Any]:
        """The protocol's Cron object, with what became of the last due time."""
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
            "payload": self._shown_payload(),
            "metadata": self.metadata,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "last_run_id": self.last_run_id,
            "problem": self.problem,
        }

    def _shown_payload(self) -> dict[str, Any]:
        """What was sent, with the ids that its runs will have."""
        config = self.payload.get("config") or {}
        configurable = {**(config.get("configurable") or {}), "cron_id": self.cron_id}
        known = {"assistant_id": self.assistant_id, "schedule": self.schedule.text}
        return {**self.payload, **known, "config": {**config, "configurable": configurable}}

    def stopped(self) -> NewCron:
        """The same, never due."""
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

    def run_ids(self, due_ms: int) -> tuple[str, str]:
        """The run of a due time, and the thread that is made for it: the same whoever asks."""
        run_id = uuid5(_FORMER_NAMESPACE if self.seed is None else UUID(self.seed), f"{self.cron_id}:{due_ms}")
        return str(run_id), str(uuid5(run_id, "thread"))

    def asked(self, due_ms: int, missed: int) -> RunRequest:
        """What the run of a due time is to be; `missed` is how many further due times it stands for."""
        request = self.request
        told: dict[str, Any] = {"cron_id": self.cron_id, "cron_due": iso(due_ms * 1000)}
        if missed:
            told["cron_missed"] = missed
        return replace(request, metadata=self.metadata | request.metadata | told)


def cron_from(held: Fields, now_ms: int) -> Cron:
    """The record of a stored hash; `now_ms` is what a disabled one looks ahead from."""

    def text(name: str) -> str | None:
        return held[name].decode() if name in held else None

    def number(name: str) -> int | None:
        return int(held[name]) if name in held else None

    enabled = held["enabled"] == b"1"
    schedule = Schedule(held["schedule"].decode(), text("timezone"), number("end_ms"))
    return Cron(
        cron_id=held["cron_id"].decode(),
        incarnation=held["created_us"].decode(),
        assistant_id=held["assistant_id"].decode(),
        thread_id=text("thread_id"),
        schedule=schedule,
        next_ms=number("next_ms"),
        due_if_enabled_ms=None if enabled else _due_if_enabled(schedule, now_ms),
        enabled=enabled,
        on_run_completed=text("on_run_completed"),
        payload=orjson.loads(held["payload"]),
        metadata=orjson.loads(held["metadata"]),
        request=run_request_from(orjson.loads(held["request"])),
        created_at=iso(int(held["created_us"])),
        updated_at=iso(int(held["updated_us"])),
        last_run_id=text("last_run_id"),
        problem=text("problem"),
        seed=text("seed"),
    )


def _due_if_enabled(schedule: Schedule, now_ms: int) -> int | None:
    """None also when the system does not know the zone any more: one such cron must not fail a search of all."""
    try:
        return schedule.after(now_ms)
    except InvalidRequest:
        return None
