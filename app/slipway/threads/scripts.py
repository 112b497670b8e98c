"""The script stubs of threads: create, change, copy, delete, and the sweep of expired threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.checkpoints.leftovers_exist import LeftoversExist
from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.runs.scripts import Ttl

_COPY = load("thread_copy")
_SWEEP = load("thread_sweep")
_CREATE = load("thread_create")
_PATCH = load("thread_patch")
_DELETE = load("thread_delete")

STATES_KEPT: Final = 100
"""How many checkpoints that were written outside runs a thread keeps for its followers."""


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a sweep: deleted threads, threads whose checkpoints must be pruned, each with its creation time in
    µs, and the number of busy threads."""

    deleted: list[str]
    to_prune: list[tuple[str, str]]
    busy: int


class ThreadScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def create(
        self,
        thread_id: str,
        metadata: Mapping[str, str],
        token: str,
        ttl: Ttl | None = None,
        *,
        members: Sequence[str] = (),
    ) -> tuple[str, list[Any]] | LeftoversExist:
        """("ok", the flat fields of the new thread), ("exists", the `token` of the thread that exists and these
        `members` of its metadata), or `LeftoversExist`. `token` tells
        this request's repetition from another's."""
        arguments = {
            "thread_id": thread_id,
            "metadata": metadata,
            "token": token,
            "ttl": ttl,
            "existing": ["token", *(f"m:{name}" for name in members)],
        }
        reply = await self._pipeline.run(_CREATE, [], self._args(**arguments))
        return LeftoversExist() if reply[0] == b"leftovers" else (reply[0].decode(), reply[1])

    async def patch(
        self,
        thread_id: str,
        changes: Mapping[str, str],
        *,
        state: str | None = None,
        checkpoint_id: str | None = None,
        event_ttl_s: int = 0,
        ttl: Ttl | None = None,
        incarnation: str | None = None,
    ) -> Fields | None:
        """Changes a thread. Returns its fields; None if no such thread exists, or none that was created at
        `incarnation`. `state` is the status after a state write, whose checkpoint `checkpoint_id` is kept for
        followers for `event_ttl_s`."""
        arguments = {
            "thread_id": thread_id,
            "fields": changes,
            "state": state,
            "checkpoint_id": checkpoint_id,
            "event_ttl_s": event_ttl_s,
            "states_kept": STATES_KEPT,
            "ttl": ttl,
            "incarnation": incarnation,
        }
        reply = await self._pipeline.run(_PATCH, [], self._args(**arguments))
        return fields_of(reply[1]) if len(reply) > 1 else None

    async def delete(self, thread_id: str, incarnation: str | None = None) -> bytes | None:
        """Deletes a thread. Returns the time of deletion in µs, which identifies its entry in the trash; None if no
        such thread exists, or none that was created at `incarnation`."""
        arguments = {"thread_id": thread_id, "incarnation": incarnation}
        reply = await self._pipeline.run(_DELETE, [], self._args(**arguments))
        return reply[1] if len(reply) > 1 else None

    async def copy(
        self, source: str, thread_id: str, token: str, ttl: Ttl | None, metadata: dict[str, str] | None = None
    ) -> tuple[str, Fields] | LeftoversExist:
        """("ok" or "exists", fields of the new thread), ("missing", {}), or `LeftoversExist`."""
        args = self._args(source=source, thread_id=thread_id, token=token, ttl=ttl, metadata=metadata)
        reply = await self._pipeline.run(_COPY, [], args)
        if reply[0] == b"leftovers":
            return LeftoversExist()
        return reply[0].decode(), fields_of(reply[1]) if len(reply) > 1 else {}

    async def sweep(self, limit: int, pruned: Sequence[tuple[str, str]] = ()) -> Swept:
        """Handles up to `limit` expired threads. `pruned` are the threads that were pruned since the last sweep."""
        deleted, to_prune, busy = await self._pipeline.run(_SWEEP, [], self._args(limit=limit, pruned=list(pruned)))
        words = iter(word.decode() for word in to_prune)
        return Swept([name.decode() for name in deleted], list(zip(words, words, strict=True)), int(busy))
