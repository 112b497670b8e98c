"""Crons: runs that are made at certain times, each on a thread of its cron or on one of its own.

Each due time makes exactly one run, whatever is killed and however many workers look: the script that makes the run
moves the cron on to its next due time in the same moment, and does neither when the cron is somewhere else already.
After downtime there is one run for all the times that passed, and its metadata says how many (`cron_missed`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from slipway.access.filtered_reads import read_filtered
from slipway.access.filters import EVERYTHING, Filter
from slipway.clock import Clock, iso
from slipway.crons.schedules import Schedule
from slipway.crons.scripts import CronScripts
from slipway.errors import InvalidRequest, NotFound
from slipway.json_containment import contains
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Wire
from slipway.runs.run_requests import RunRequest
from slipway.runs.scripts import Fields, fields
from slipway.serialization.json_encoding import dumps, json_members

_FORMER_NAMESPACE: Final = UUID("b6f0c9a4-56f4-4c0b-8a35-2d6f0c1f7f0e")
"""Of crons that an earlier release stored, which have no seed."""
_PAGE: Final = 200


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
    request: Mapping[str, Any]
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
        user = self.request.get("user")
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
            request=RunRequest(**self.request),
        )

    def run_ids(self, due_ms: int) -> tuple[str, str]:
        """The run of a due time, and the thread that is made for it: the same whoever asks."""
        run_id = uuid5(_FORMER_NAMESPACE if self.seed is None else UUID(self.seed), f"{self.cron_id}:{due_ms}")
        return str(run_id), str(uuid5(run_id, "thread"))

    def asked(self, due_ms: int, missed: int) -> RunRequest:
        """What the run of a due time is to be; `missed` is how many further due times it stands for."""
        request = RunRequest(**self.request)
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
        request=orjson.loads(held["request"]),
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks for; None asks for anything. Metadata is matched by containment. `only` is what the caller
    may see."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: dict[str, Any] | None = None
    only: Filter = EVERYTHING

    def fits(self, cron: Cron) -> bool:
        """Whether a cron is wanted."""
        return (
            self.assistant_id in (None, cron.assistant_id)
            and self.thread_id in (None, cron.thread_id)
            and self.enabled in (None, cron.enabled)
            and contains(cron.metadata, self.metadata or {})
            and self.only.fits(cron.metadata)
        )


class CronStore:
    """Crons in Redis."""

    def __init__(self, wire: Wire, keys: Keys, clock: Clock) -> None:
        self._wire, self._keys, self._scripts, self._clock = wire, keys, CronScripts(wire, keys), clock

    async def create(self, cron_id: str, new: NewCron, now_ms: int) -> Cron:
        """A new cron; the one that has this id already, as it is by now, if one has. `NotFound` for its thread, with
        which it goes."""
        next_ms = new.schedule.after(now_ms) if new.enabled else None
        held = await self._scripts.save(
            cron_id, new.fields(), json_members(new.metadata), create=True, moves=True, next_ms=next_ms
        )
        if held is None:
            raise NotFound("thread", new.thread_id or "")
        return cron_from(held, now_ms)

    async def change(self, cron_id: str, new: NewCron, now_ms: int, *, moves: bool) -> Cron:
        """A cron as it is to be from now on. `moves` works out its next due time anew. Raises `NotFound`."""
        changes = new.fields()
        next_ms = new.schedule.after(now_ms) if new.enabled else None
        drops = [name for name in OPTIONAL if name not in changes]
        held = await self._scripts.save(
            cron_id, changes, json_members(new.metadata), create=False, drops=drops, moves=moves, next_ms=next_ms
        )
        if held is None:
            raise NotFound("cron", cron_id)
        return cron_from(held, now_ms)

    async def get(self, cron_id: str, only: Filter = EVERYTHING) -> Cron:
        """The cron, if it is among `only` those, or `NotFound`. Of one that is not, no more is read than of one that
        does not exist."""
        if only and not await self._fits(cron_id, only):
            raise NotFound("cron", cron_id)
        held = fields(await self._wire.send("HGETALL", self._keys.cron(cron_id), again=True))
        if "cron_id" not in held:
            raise NotFound("cron", cron_id)
        return cron_from(held, self._now_ms())

    async def _fits(self, cron_id: str, only: Filter) -> bool:
        key = self._keys.cron(cron_id)
        held = await read_filtered(self._wire, key, only, "updated_us", "members_at")
        changed_at, members_at = held.plain
        if changed_at == members_at:
            return changed_at is not None and only.fits(held.metadata)
        whole = await self._wire.send("HGET", key, "metadata", again=True)  # an earlier release stored it
        return whole is not None and only.fits(orjson.loads(whole))

    async def delete(self, cron_id: str) -> None:
        """Remove it, or `NotFound`. Runs that it made stay."""
        if not await self._scripts.delete(cron_id):
            raise NotFound("cron", cron_id)

    async def delete_of(self, assistant_id: str) -> None:
        """Remove the crons of an assistant that is removed."""
        for cron in await self.search(Wanted(assistant_id=assistant_id)):
            await self._scripts.delete(cron.cron_id)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    async def search(self, wanted: Wanted, *, sort_by: str = "created_at", descending: bool = True) -> list[Cron]:
        """All that are wanted, in order."""
        found = [cron async for cron in self._all() if wanted.fits(cron)]
        return sorted(found, key=lambda cron: str(getattr(cron, sort_by) or ""), reverse=descending)

    async def _all(self) -> AsyncIterator[Cron]:
        start = 0
        while True:
            ids: Sequence[bytes] = await self._wire.send(
                "ZRANGE", self._keys.crons, start, start + _PAGE - 1, again=True
            )
            for read in [self._wire.send("HGETALL", self._keys.cron(name.decode()), again=True) for name in ids]:
                if "cron_id" in (held := fields(await read)):
                    yield cron_from(held, self._now_ms())
            if len(ids) < _PAGE:
                return
            start += _PAGE
