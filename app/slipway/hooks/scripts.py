"""The script stubs of hooks."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.hooks.record import DeliveryState
from slipway.redis.hash_fields import flat
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs
from slipway.serialization.at_rest import opened, sealed
from slipway.serialization.places import hook_place

_HOOK_RECEIVE = load("hook_receive")
_HOOK_ANSWER = load("hook_answer")
_HOOK_REFUSE = load("hook_refuse")
_HOOK_CLAIM_UNANSWERED = load("hook_claim_unanswered")


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The status and the body of a response."""

    state: DeliveryState
    status: int
    content: bytes


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What is stored of a delivery. `answer` is None if something must be done first; `run_id` and `thread_id` are for
    what is done."""

    delivery: str
    hook: str
    fields: dict[str, str]
    stored_body: bytes
    run_id: str
    thread_id: str
    answer: StoredAnswer | None


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The delivery was answered before, for good."""

    status: int
    content: bytes


@dataclass(frozen=True, slots=True)
class ToDo:
    """What the delivery asks for is to be done now, with these ids. `repeated`: somebody may have done it, or may be
    doing it."""

    run_id: str
    thread_id: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """The delivery is stored with its answer."""


class HookScripts(ScriptStubs):
    """Each method takes one round trip."""

    def __init__(self, pipeline: Pipeline, keys: Keys, *, retention_s: int, finish_after_ms: int) -> None:
        super().__init__(pipeline, keys)
        self._retention_s, self._finish_after_ms = retention_s, finish_after_ms

    async def receive(self, new: NewDelivery) -> FirstAnswer | ToDo | Stored:
        """Stores a delivery, unless it was received before."""
        answer = new.answer
        arguments = self._args(
            delivery=new.delivery,
            hook=new.hook,
            fields=flat(new.fields),
            state=(DeliveryState.RECEIVED if answer is None else answer.state).value,
            status=None if answer is None else answer.status,
            run_id=new.run_id,
            thread_id=new.thread_id,
            retention_s=self._retention_s,
            finish_after_ms=self._finish_after_ms,
        )
        place = hook_place(new.delivery)
        content = b"" if answer is None else sealed(answer.content, place)
        reply = await self._pipeline.run(_HOOK_RECEIVE, [], (*arguments, new.stored_body, content))
        match reply:
            case [b"answered", status, first]:
                return FirstAnswer(int(status), opened(first, place))
            case [b"received", run_id, thread_id, repeated]:
                return ToDo(run_id.decode(), thread_id.decode(), bool(repeated))
        return Stored()

    async def answer(self, delivery: str, hook: str, answer: StoredAnswer) -> StoredAnswer:
        """Stores the answer. Returns the one that is stored: an earlier one that stays has precedence."""
        arguments = self._args(
            delivery=delivery,
            hook=hook,
            state=answer.state.value,
            status=answer.status,
            retention_s=self._retention_s,
        )
        place = hook_place(delivery)
        status, content = await self._pipeline.run(_HOOK_ANSWER, [], (*arguments, sealed(answer.content, place)))
        return StoredAnswer(answer.state, int(status), opened(content, place))

    async def refuse(self, hook: str, why: str) -> int:
        """Counts a request without a valid signature. Returns how many there were."""
        return int(await self._pipeline.run(_HOOK_REFUSE, [], self._args(hook=hook, why=why)))

    async def claim_unanswered(self, limit: int) -> list[str]:
        """Claims deliveries whose process has died."""
        arguments = self._args(limit=limit, lease_ms=self._finish_after_ms)
        return [each.decode() for each in await self._pipeline.run(_HOOK_CLAIM_UNANSWERED, [], arguments)]
