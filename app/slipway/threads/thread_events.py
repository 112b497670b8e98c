"""The events of a thread stream: those of all runs of the thread, with `run_done` after each run, and `state_update`
for each state that was written between them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Literal

from slipway.access.users import User
from slipway.errors import NotFound
from slipway.redaction.redact import redact_json
from slipway.runs.events import Event
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block, frame_of, with_id
from slipway.threads.state_store import ThreadStateStore
from slipway.threads.thread_follower import RunDone, RunEvents, StateWritten, ThreadFollower, ThreadItem
from slipway.threads.thread_position import ThreadPosition, event_in_run

ThreadEventKind = Literal["begin", "event", "end", "done", "state"]


@dataclass(frozen=True, slots=True)
class ThreadEvent:
    """`kind` selects the stream modes to which the event belongs; `block` is what clients receive."""

    kind: ThreadEventKind
    block: bytes


class ThreadEvents:
    """Follows threads for clients of the thread stream."""

    def __init__(self, follower: ThreadFollower, states: ThreadStateStore) -> None:
        self._follower, self._states = follower, states

    async def follow(
        self, thread_id: str, after: ThreadPosition | None = None, user: User | None = None
    ) -> AsyncGenerator[list[ThreadEvent], None]:
        """Batches of the events that follow `after` (None: new events only), then of new ones, until the thread is
        deleted. A position after the last run belongs to another thread: the client receives new events only. `user`
        is passed to a factory that creates the graph for a state. Call `aclose` to stop before the end."""
        if after is None or after.ordinal > (await self._follower.progress(thread_id)).last_ordinal:
            after = await self._follower.end_position(thread_id)
        async with aclosing(self._follower.follow(thread_id, after)) as items:
            async for item in items:
                if events := await self._translate(thread_id, item, user):
                    yield events

    async def _translate(self, thread_id: str, item: ThreadItem, user: User | None) -> list[ThreadEvent]:
        match item:
            case RunEvents(run, events):
                return [_run_event(run.ordinal, event) for event in events]
            case RunDone(run, position):
                data = dumps({"status": "run_done", "run_id": run.run_id})
                return [ThreadEvent("done", encode_block("metadata", data, str(position)))]
            case StateWritten(checkpoint_id, position):
                with suppress(NotFound):
                    state = await self._states.get(thread_id, {"checkpoint_id": checkpoint_id}, user=user)
                    data = redact_json(dumps({"state": state, "thread_id": thread_id}))
                    return [ThreadEvent("state", encode_block("state_update", data, str(position)))]
        return []


def _run_event(ordinal: int, event: Event) -> ThreadEvent:
    block = with_id(frame_of(event.block), str(event_in_run(ordinal, event.position)))
    return ThreadEvent("begin" if event.name == "metadata" else "end" if event.is_end else "event", block)
