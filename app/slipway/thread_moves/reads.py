"""Reads what decides whether a thread may be moved now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from slipway.graph_versions.pin import PIN_FIELDS, Pin, pin_of
from slipway.redis.read_stubs import ReadStubs

_EXPECTED = ("started_runs", "state_us", "version_graph", "version", "original")
"""Fields that change when a run starts, when a state is written, and when the thread is moved, also there and back."""


@dataclass(frozen=True, slots=True)
class IdleThread:
    """A thread that no run executed when it was read."""

    thread_id: str
    graph_id: str
    incarnation: str
    pin: Pin
    """How this graph is pinned."""
    expected: Mapping[str, str]
    """Fields of its record that must not have changed when it is moved."""


@dataclass(frozen=True, slots=True)
class ThreadMoves:
    """To which versions a thread was pinned."""

    pin: Pin
    moves: Sequence[Mapping[str, Any]]
    """Its last moves, oldest first (`record.move_entry`)."""


class MoveReads(ReadStubs):
    """Each method takes one round trip."""

    async def idle_thread(self, thread_id: str, graph_id: str) -> IdleThread | None:
        """The thread, with the pin that it has for this graph. None if it does not exist, or if a run of it
        executes."""
        names = ("created_us", "active_run_id", *PIN_FIELDS, *_EXPECTED)
        created_us, active, *found = await self._pipeline.send(
            "HMGET", self._keys.thread(thread_id), *names, repeatable=True
        )
        if created_us is None or active:
            return None
        pin, values = found[: len(PIN_FIELDS)], found[len(PIN_FIELDS) :]
        expected = {name: (value or b"").decode() for name, value in zip(_EXPECTED, values, strict=True)}
        return IdleThread(thread_id, graph_id, created_us.decode(), pin_of(graph_id, *pin), expected)

    async def questions(self, thread_id: str) -> bytes:
        """The open interrupts of a thread in their stored form. Empty if it never had a state."""
        return await self._pipeline.send("HGET", self._keys.thread(thread_id), "interrupts", repeatable=True) or b""

    async def moves(self, thread_id: str, graph_id: str) -> ThreadMoves:
        """The pin that a thread has for this graph, and its moves."""
        *pin, moves = await self._pipeline.send(
            "HMGET", self._keys.thread(thread_id), *PIN_FIELDS, "moves", repeatable=True
        )
        return ThreadMoves(pin_of(graph_id, *pin), [] if moves is None else orjson.loads(moves))
