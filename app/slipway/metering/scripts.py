"""The script stub of the meter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.budgets import BudgetEntry
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs, ScriptStubs
from slipway.runs.record import Run

_METER_RESERVE = load("meter_reserve")
_BUDGETS_READ = load("budgets_read")


@dataclass(frozen=True, slots=True)
class Reserved:
    """The usage is stored, and counted in all budgets."""


@dataclass(frozen=True, slots=True)
class NotOwned:
    """The attempt no longer owns its run. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A budget has no room. The call is counted in no budget."""

    position: int
    """Of the entry, from 0."""
    used: float
    """What the field of the budget has."""


ReserveResult = Reserved | NotOwned | NoRoom


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a script stores before a call is made."""

    metered: str
    """What the chain has used of models and tools, with what is reserved."""
    revision: int
    """Of `metered`. No other reservation of the chain has the same."""
    oldest: int
    """The lowest revision of the reservations whose script may be executed again, because its reply is missing."""
    budgets: Sequence[BudgetEntry]
    """What the call adds to the budgets that limit it."""
    ended: Sequence[BudgetEntry] = ()
    """Corrections of calls that have ended."""

    def arguments(self) -> dict[str, object]:
        """As the scripts read it (`store_metered` and `reserve_once` in `redis/lua/lib`)."""
        return {
            "metered": self.metered,
            "revision": self.revision,
            "oldest": self.oldest,
            "budgets": list(self.budgets) or None,
            "ended": list(self.ended) or None,
        }


class BudgetScripts(ScriptStubs):
    """Reads budgets."""

    async def read(self, limit: int) -> list[tuple[str, Fields]]:
        """The id and the fields of up to `limit` budgets of which something was used. One round trip."""
        reply = await self._pipeline.run(_BUDGETS_READ, [], self._args(limit=limit))
        return [(budget_id.decode(), fields_of(flat)) for budget_id, flat in reply]


class MeterScripts(RecordScriptStubs):
    """One round trip each."""

    async def reserve(self, run: Run, reservation: Reservation) -> ReserveResult:
        """Stores what the chain has used, and what is reserved, before a call is made."""
        arguments = self._of_run(
            run.run_id, attempt=run.attempt, incarnation=run.incarnation, **reservation.arguments()
        )
        reply = await self._pipeline.run(_METER_RESERVE, [], arguments)
        if reply[0] == b"ok":
            return Reserved()
        return NotOwned() if reply[0] == b"fenced" else NoRoom(int(reply[1]) - 1, float(reply[2]))
