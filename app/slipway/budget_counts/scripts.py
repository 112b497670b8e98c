"""The script stubs of budgets. The header of each file in `redis/lua/` says what the script changes atomically."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack

from slipway.budgets import BudgetEntry
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, ScriptStubs, arguments_for

_RESERVE: Final = load("budget_reserve")
_RELEASE: Final = load("budget_release")
_READ: Final = load("budgets_read")
_EVENTS_READ: Final = load("budget_events_read")
_EVENTS_TELL: Final = load("budget_events_tell")

_KEEP_MS: Final = 10 * 60 * 1000
"""How long the revisions of a reserver are remembered after its last reservation. No script is sent again later."""


@dataclass(frozen=True, slots=True)
class BudgetedRun:
    """The run that uses budgets, for webhook events about them."""

    run_id: str
    graph_id: str
    owner_json: str | None
    """Whose endpoints hear of budgets of owners: the member `owner` of the metadata, as JSON."""


@dataclass(frozen=True, slots=True)
class BudgetReservation:
    """What a call, or a new run, adds to budgets."""

    run: BudgetedRun
    reserver: str
    """Whose revisions these are: one attempt, or one request that creates a run."""
    revision: int
    """No other reservation of the reserver has the same."""
    oldest: int
    """The lowest revision of the reservations whose script may be executed again, because its reply is missing."""
    entries: Sequence[BudgetEntry]
    ended: Sequence[BudgetEntry] = ()
    """Corrections of calls that have ended, which are added before the entries are compared with the limits."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A budget has no room. Nothing is counted in any budget."""

    position: int
    """Of the entry, from 0."""
    used: float
    """What the field of the budget has."""


@dataclass(frozen=True, slots=True)
class ReserveReply:
    """`refused` is None if everything is counted. `has_events`: a budget has a new state, of which webhook endpoints
    are to be told."""

    refused: NoRoom | None
    has_events: bool


BudgetEvent = Mapping[str, Any]  # Any: only Lua reads it; see `redis/lua/lib/budgets.lua`


class BudgetScripts(ScriptStubs):
    """One round trip each, on the shard of limits."""

    def reserve(self, reservation: BudgetReservation) -> asyncio.Future[Sequence[bytes]]:
        """Counts it in all budgets or in none. The call is sent at once; `reserve_reply` reads the reply."""
        run = reservation.run
        arguments = self._args(
            reserver=reservation.reserver,
            revision=reservation.revision,
            oldest=reservation.oldest,
            keep_ms=_KEEP_MS,
            entries=list(reservation.entries),
            ended=list(reservation.ended),
            run={"id": run.run_id, "graph_id": run.graph_id}
            | ({} if run.owner_json is None else {"owner": run.owner_json}),
        )
        return self._pipeline.run(_RESERVE, [], arguments)

    @staticmethod
    def reserve_reply(reply: Sequence[bytes]) -> ReserveReply:
        """The reply to `reserve`."""
        state, events, *refused = reply
        no_room = NoRoom(int(refused[0]) - 1, float(refused[1])) if state == b"no room" else None
        return ReserveReply(no_room, events != b"")

    async def release(self, reservation: BudgetReservation) -> bool:
        """Takes the entries back. False if they were not reserved, or were released before."""
        arguments = self._args(
            reserver=reservation.reserver, revision=reservation.revision, entries=list(reservation.entries)
        )
        return bool(await self._pipeline.run(_RELEASE, [], arguments))

    async def read(self, limit: int) -> list[tuple[str, Fields]]:
        """The id and the fields of up to `limit` budgets of which something was used."""
        reply = await self._pipeline.run(_READ, [], self._args(limit=limit))
        return [(budget_id.decode(), fields_of(flat)) for budget_id, flat in reply]

    async def events(self, limit: int) -> dict[bytes, BudgetEvent]:
        """By name: up to `limit` events of which webhook endpoints were not told."""
        flat = await self._pipeline.run(_EVENTS_READ, [], self._args(limit=limit))
        return {name: ormsgpack.unpackb(event) for name, event in zip(flat[::2], flat[1::2], strict=True)}

    async def forget_events(self, names: Sequence[bytes]) -> None:
        """Webhook endpoints were told of these events."""
        await self._pipeline.send("HDEL", self._keys.budget_events, *names, repeatable=True)


class BudgetEventScripts(RecordScriptStubs):
    """One round trip each, on a shard of threads."""

    async def tell(self, run_id: str, events: Sequence[BudgetEvent]) -> bool:
        """Creates the deliveries of events whose runs are in the shard of this run, each once. False if no webhook
        endpoint is subscribed to anything."""
        shard = self._shards.of_run(run_id)
        return bool(await self._pipeline.run(_EVENTS_TELL, [], arguments_for(shard, {"events": list(events)})))
