"""What the tool gateway learns: who approved exactly this call. No graph is executed, so approvals are not deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from slipway.canonical_json import call_hash
from slipway.errors import ReviewRefused
from slipway.graphs.registry import Registry
from slipway.reviews.actor import Actor
from slipway.reviews.record import Review
from slipway.runs.record import run_from
from slipway.services import Services
from slipway.settings import Settings
from tests.reviews.approvals import approved_call
from tests.reviews.project.graphs import CALL
from tests.reviews.waiting_runs import ask, processes, wait_with_questions

APPROVE = {"kind": "approve"}
EDIT = {"kind": "edit", "args": {"amount": 40}}
EDITED = call_hash("refund", {"amount": 40})


@dataclass(frozen=True, slots=True)
class Gateway:
    """A review about the call `call-1`, and who has approved it by hash and quorum."""

    services: Services
    review: Review
    approved: Callable[[str, int], Awaitable[list[bytes] | None]]

    async def decide(self, who: str, body: dict[str, Any]) -> Review:
        return await self.services.reviews.decide(self.review.review_id, Actor(who), body)

    async def ask_again(self, **policy: Any) -> Review:
        """The run that has the edit asks about the edited call."""
        _, (fields,), *_ = await self.services.queues[0].run_claim("w", 1, 60_000)
        run = run_from(fields)
        assert run.resumes == self.review.run_id
        question = CALL | {"slipway": {"call": "call-1", "hash": EDITED} | policy}
        return (await ask(self.services, run, question)).reviews[0]


@pytest.fixture
async def gateway(settings: Settings, graphs: Registry) -> AsyncIterator[Gateway]:
    async with processes(settings, graphs, 1) as (services,):
        yield await gateway_of(services, quorum=2)


async def gateway_of(services: Services, **policy: Any) -> Gateway:
    waiting = await wait_with_questions(services, CALL | {"slipway": {"call": "call-1", "hash": "hash-1"} | policy})
    approved = approved_call(services.pipeline, services.keys, waiting.run.thread_id, "call-1")
    return Gateway(services, waiting.reviews[0], approved)


async def test_so_many_different_people_approve_exactly_this_call(gateway: Gateway) -> None:
    assert await gateway.approved("hash-1", 1) is None
    await gateway.decide("bob", APPROVE)
    await gateway.decide("bob", APPROVE)
    assert (await gateway.approved("hash-1", 2), await gateway.approved("hash-1", 1)) == (None, [b"bob"])
    await gateway.decide("carl", APPROVE)
    assert await gateway.approved("hash-1", 2) == [b"bob", b"carl"]
    assert await gateway.approved("hash-2", 1) is None


async def test_one_person_rejects_what_others_approved(gateway: Gateway) -> None:
    await gateway.decide("bob", APPROVE)
    decided = await gateway.decide("carl", {"kind": "reject", "message": "too much"})
    assert decided.outcome is not None
    assert (decided.outcome.by, decided.answer) == (["carl"], {"type": "reject", "message": "too much"})
    assert await gateway.approved("hash-1", 1) is None


async def test_whoever_edits_a_call_approves_the_edited_one_only(gateway: Gateway) -> None:
    await gateway.decide("bob", APPROVE)
    await gateway.decide("carl", EDIT)
    assert (await gateway.approved("hash-1", 1), await gateway.approved(EDITED, 1)) == (None, [b"carl"])
    again = await gateway.ask_again(quorum=2)
    assert ([vote.by for vote in again.votes], again.question.actions[0].name) == (["carl"], "refund")
    await gateway.services.reviews.decide(again.review_id, Actor("bob"), APPROVE)
    assert await gateway.approved(EDITED, 2) == [b"carl", b"bob"]


async def test_with_four_eyes_nobody_approves_an_own_edit(settings: Settings, graphs: Registry) -> None:
    async with processes(settings, graphs, 1) as (services,):
        gateway = await gateway_of(services, four_eyes=True)
        await gateway.decide("carl", EDIT)
        assert await gateway.approved(EDITED, 1) is None
        again = await gateway.ask_again(four_eyes=True)
        assert again.gateway_call is not None
        assert (again.gateway_call.edited_by, again.votes) == ("carl", [])
        with pytest.raises(ReviewRefused, match="carl edited the call"):
            await services.reviews.decide(again.review_id, Actor("carl"), APPROVE)
        await services.reviews.decide(again.review_id, Actor("bob"), APPROVE)
        assert await gateway.approved(EDITED, 1) == [b"bob"]
