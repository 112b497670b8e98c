"""Reads what decides whether a thread may be moved now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from slipway.redis.read_stubs import ReadStubs
from slipway.thread_moves.record import Pin

_EXPECTED = ("started_runs", "state_us", "version")
"""Fields that change when a run starts, when a state is written, and when the thread is moved."""


@dataclass(frozen=True, slots=True)
class IdleThread:
    """A thread that no run executed when it was read."""

    thread_id: str
    incarnation: str
    pin: Pin
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

    async def idle_thread(self, thread_id: str) -> IdleThread | None:
        """The thread. None if it does not exist, or if a run of it executes."""
        names = ("created_us", "active_run_id", "schema", *_EXPECTED)
        found = await self._pipeline.send("HMGET", self._keys.thread(thread_id), *names, repeatable=True)
        created_us, active, schema, *others = ("" if value is None else value.decode() for value in found)
        if not created_us or active:
            return None
        expected = dict(zip(_EXPECTED, others, strict=True))
        return IdleThread(thread_id, created_us, Pin(expected["version"], schema), expected)

    async def questions(self, thread_id: str) -> bytes:
        """The open interrupts of a thread in their stored form. Empty if it never had a state."""
        return await self._pipeline.send("HGET", self._keys.thread(thread_id), "interrupts", repeatable=True) or b""

    async def moves(self, thread_id: str) -> ThreadMoves:
        """The pin and the moves of a thread."""
        names = ("version", "schema", "moves")
        found = await self._pipeline.send("HMGET", self._keys.thread(thread_id), *names, repeatable=True)
        version, schema = ("" if value is None else value.decode() for value in found[:2])
        return ThreadMoves(Pin(version, schema), [] if found[2] is None else orjson.loads(found[2]))
