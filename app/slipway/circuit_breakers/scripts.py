"""The script stubs of circuit breakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from slipway.circuit_breakers.record import BreakerRecord, record_from
from slipway.redis.hash_fields import fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_BREAKER_ENTER: Final = load("breaker_enter")
_BREAKER_LEAVE: Final = load("breaker_leave")
_BREAKER_LIST: Final = load("breaker_list")

_KEEP_MS: Final = 3_600_000
"""How long an open breaker is kept that nobody calls: then it counts as closed."""

Outcome = Literal["succeeded", "failed", "unknown"]
"""How a call ended. `unknown`: it says nothing about the service, as when the call was cancelled."""

Transition = Literal["opened", "closed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Permitted:
    """The call may be made. `failures` are on record; `probe`: it decides whether the breaker closes."""

    failures: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """The breaker is open. The next call may be permitted in `retry_in_ms`. `problem` is the class of the last of
    `failures`."""

    failures: int
    retry_in_ms: int
    problem: str


@dataclass(frozen=True, slots=True)
class BreakerList:
    """All breakers that are open or have failures on record, and how often each was opened since the deployment
    exists."""

    breakers: Sequence[BreakerRecord]
    openings: Mapping[str, int]


class BreakerScripts(ScriptStubs):
    """Each method takes one round trip. `breaker` is `<kind>:<name>`."""

    async def enter(self, breaker: str, call: str, *, probe_ms: int) -> Permitted | Rejected:
        """Asks whether the call may be made. If it becomes the probe, no other call is permitted for `probe_ms`, unless
        it leaves before."""
        arguments = self._args(breaker=breaker, call=call, probe_ms=probe_ms, keep_ms=_KEEP_MS)
        state, failures, *rest = await self._pipeline.run(_BREAKER_ENTER, [], arguments)
        if state == b"open":
            return Rejected(int(failures), int(rest[0]), (rest[1] or b"").decode())
        return Permitted(int(failures), state == b"probe")

    async def leave(
        self, breaker: str, call: str, outcome: Outcome, problem: str, *, most: int, window_ms: int, open_ms: int
    ) -> Transition:
        """Records how the call ended. `most` failures in a row within `window_ms` open the breaker for `open_ms`."""
        arguments = self._args(
            breaker=breaker,
            call=call,
            outcome=outcome,
            problem=problem,
            most=most,
            window_ms=window_ms,
            open_ms=open_ms,
            keep_ms=_KEEP_MS,
        )
        reply: bytes = await self._pipeline.run(_BREAKER_LEAVE, [], arguments)
        transitions: dict[bytes, Transition] = {b"opened": "opened", b"closed": "closed"}
        return transitions.get(reply, "unchanged")

    async def list_all(self) -> BreakerList:
        now_ms, found, openings = await self._pipeline.run(_BREAKER_LIST, [], (self._keys.prefix,))
        breakers = [record_from(name.decode(), fields_of(fields), int(now_ms)) for name, fields in found]
        counts = {name: int(count) for name, count in fields_of(openings).items()}
        return BreakerList(sorted(breakers, key=lambda each: each.breaker), counts)
