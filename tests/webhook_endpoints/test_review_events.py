"""The events of reviews are exactly the entries of the audit trails, and the due times that have come."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from slipway.clock import Clock
from slipway.webhook_endpoints.record import Endpoint, Format
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from tests.reviews.conftest import Desk, desk, graphs, let_time_come, settings
from tests.webhook_endpoints.conftest import URL
from tests.webhook_endpoints.phase_changes import deliveries_of

__all__ = ["desk", "graphs", "settings"]

YES = {"kind": "answer", "value": "yes"}


async def add(desk: Desk, *types: str, **members: Any) -> Endpoint:
    services = desk.services
    scripts = EndpointScripts(services.pipeline, services.shards)
    store = EndpointStore(scripts, Clock(), lambda url: None, ["timed", "one", "two", "cancelled"])
    return (await store.add(EndpointChange(url=URL, types=types, **members), by="ann")).endpoint


async def events(desk: Desk, endpoint: Endpoint) -> list[tuple[str, str]]:
    """Type and review of each event."""
    found = await deliveries_of(desk.services.pipeline, desk.services.keys, endpoint.endpoint_id)
    bodies = [json.loads(fields["body"]) for fields in found]
    return [(body["type"], body["data"]["review_id"]) for body in bodies]


async def entries(desk: Desk, thread: str) -> Counter[tuple[str, str]]:
    """The entries of the audit trails of all runs of a thread that an event is created for."""
    told = ("review.opened", "review.decided", "review.expired")
    found: Counter[tuple[str, str]] = Counter()
    for run in (await desk.client.get(f"/threads/{thread}/runs")).json():
        for entry in await desk.services.audit.read(run["run_id"], limit=1000):
            if entry.action in told:
                review = entry.details.get("review_id") or f"{run['run_id']}:{entry.details['interrupt_id']}"
                found[entry.action, review] += 1
    return found


async def test_a_decision_is_told_once(desk: Desk) -> None:
    endpoint, full = await add(desk, "review.*"), await add(desk, "review.decided", format=Format.FULL)
    thread, (review,) = await desk.ask("one")
    await desk.decide(review, YES)
    await desk.decide(review, YES, status=409)
    await desk.answers(thread)
    told = await events(desk, endpoint)
    assert told == [("review.opened", review["review_id"]), ("review.decided", review["review_id"])]
    assert Counter(told) == await entries(desk, thread)
    (delivery,) = await deliveries_of(desk.services.pipeline, desk.services.keys, full.endpoint_id)
    assert json.loads(delivery["review_decision"])["by"] == ["bob"]
    assert (b"review_question" in {name.encode() for name in delivery}, delivery["unbuilt"]) == (True, b"1")
    link = json.loads(delivery["body"])["data"]["link"]
    shown = await desk.client.get(link, headers={"x-user": "bob"})
    assert shown.json()["review_id"] == review["review_id"], "the link leads to the result"


async def test_an_answer_of_the_protocol_is_a_decision(desk: Desk) -> None:
    endpoint = await add(desk, "review.*")
    thread, (review,) = await desk.ask("one")
    await desk.answer(thread, "one", "yes")
    await desk.answers(thread)
    assert Counter(await events(desk, endpoint)) == await entries(desk, thread)
    assert ("review.decided", review["review_id"]) in await events(desk, endpoint)


async def test_a_due_review_is_told_and_expires(desk: Desk) -> None:
    endpoint = await add(desk, "review.*", graphs=["timed"])
    thread, (review,) = await desk.ask("timed")
    await let_time_come(desk, review, "remind_us")
    await let_time_come(desk, review, "escalate_us")
    await let_time_come(desk, review, "due_us")
    await let_time_come(desk, review, "due_us")
    assert await desk.answers(thread) == ["nobody"]
    told = await events(desk, endpoint)
    kinds = ("review.opened", "review.due", "review.expired")
    assert Counter(told) == {(kind, review["review_id"]): 1 for kind in kinds}


async def test_a_due_review_whose_run_is_cancelled_is_told(desk: Desk) -> None:
    endpoint, runs = await add(desk, "review.*", graphs=["cancelled"]), await add(desk, "run.cancelled")
    _, (review,) = await desk.ask("cancelled")
    for _ in range(2):
        await let_time_come(desk, review, "due_us")
    assert [kind for kind, _ in await events(desk, endpoint)] == ["review.opened", "review.due"]
    (delivery,) = await deliveries_of(desk.services.pipeline, desk.services.keys, runs.endpoint_id)
    assert delivery["run_id"].decode() == review["run_id"]
