"""The pages of the review desk without a browser: permissions, filters, and the stream of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from slipway.api.ui import review_updates
from slipway.api.ui.review_data import for_browsers
from slipway.api.ui.review_views import Filters
from slipway.reviews.record import UNDECIDED, ReviewState
from slipway.runs.audit import AuditEntry
from tests.reviews.conftest import Desk
from tests.waiting import wait_until

ANSWER = {"kind": "answer", "value": "Ann"}


@asynccontextmanager
async def _changes(desk: Desk) -> AsyncIterator[AsyncIterator[str | None]]:
    """The ids that the stream of changes sends."""

    async def ids(lines: AsyncIterator[str]) -> AsyncIterator[str | None]:
        async for line in lines:
            if line.startswith("data: "):
                yield orjson.loads(line.removeprefix("data: "))["review_id"]

    async with desk.client.stream("GET", "/ui/reviews/events", headers={"x-user": "bob"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield ids(response.aiter_lines())


async def test_the_stream_has_the_ids_of_reviews_that_change(desk: Desk) -> None:
    async with _changes(desk) as changes:
        assert await anext(changes) is None, "any review may have changed before"
        _, (review,) = await desk.ask("one")
        assert await anext(changes) == review["review_id"]
        await desk.post(f"/ops/reviews/{review['review_id']}/claim", user="bob")
        assert await anext(changes) == review["review_id"]
    pipeline, channel = desk.services.pipeline, desk.services.keys.review_notifications

    async def has_no_subscriber() -> bool:
        return bool((await pipeline.send("PUBSUB", "NUMSUB", channel))[1] == 0)

    await wait_until(has_no_subscriber)


async def test_a_stream_ends_so_that_its_user_is_authorized_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_updates, "STREAM_LASTS_S", 0.05)
    async with _changes(desk) as changes:
        assert [each async for each in changes] == [None]


async def test_two_streams_share_a_subscription(desk: Desk) -> None:
    async with _changes(desk) as first, _changes(desk) as second:
        assert [await anext(first), await anext(second)] == [None, None]
        _, (review,) = await desk.ask("one")
        assert [await anext(first), await anext(second)] == [review["review_id"]] * 2


async def test_the_pages_need_the_permission_to_review(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    page = f"/ui/reviews/{review['review_id']}"
    for path in ("/ui/reviews", "/ui/reviews/list", "/ui/reviews/events", page, f"{page}/now"):
        response = await desk.client.get(path, headers={"x-user": "nobody"})
        assert (response.status_code, "slipway:review" in response.text) == (403, True), path
    for path in ("/ui/reviews", "/ui/reviews/list", page, f"{page}/now"):
        assert (await desk.client.get(path, headers={"x-user": "bob"})).status_code == 200, path
    for unknown in ("x", review["review_id"].replace(":", ":0")):
        for path in (f"/ui/reviews/{unknown}", f"/ui/reviews/{unknown}/now"):
            assert (await desk.client.get(path)).status_code == 404, path


async def _titles(desk: Desk, query: str) -> list[str]:
    """The questions in the list with this query."""
    response = await desk.client.get(f"/ui/reviews/list?{query}")
    assert response.status_code == 200, response.text
    return [part.partition("</a>")[0].rpartition(">")[2] for part in response.text.split('class="to-review"')[1:]]


async def test_the_list_has_filters_and_an_order(desk: Desk) -> None:
    _, (name,) = await desk.ask("one")
    await desk.ask("guarded", "ann finance")
    await desk.post(f"/ops/reviews/{name['review_id']}/claim", user="bob")
    assert await _titles(desk, "") == ["What is your name?", "Really?"]
    assert await _titles(desk, "order=newest") == ["Really?", "What is your name?"]
    assert await _titles(desk, "order=due") == ["What is your name?", "Really?"]
    assert await _titles(desk, "state=claimed") == ["What is your name?"]
    assert await _titles(desk, "graph=guarded") == ["Really?"]
    assert await _titles(desk, "assignee=bob") == ["What is your name?"]
    assert await _titles(desk, "group=finance") == ["Really?"]
    await desk.decide(name, ANSWER)
    assert await _titles(desk, "") == ["Really?"]
    assert await _titles(desk, "state=all&order=due") == ["What is your name?", "Really?"]
    assert await _titles(desk, "state=unknown&order=unknown&graph=") == ["Really?"]
    assert (await desk.client.get("/ui/reviews?cursor=x")).status_code == 404


def test_the_filters_of_a_url_are_those_of_the_next_page() -> None:
    filters = Filters(state="", graph="a b", assignee="", group="", order="newest", cursor="c1")
    assert filters.next_page("c2") == "graph=a+b&order=newest&cursor=c2"
    assert filters.query().states == UNDECIDED
    assert Filters("all", "", "", "", "", "").query().states == frozenset()
    assert Filters("held", "", "", "", "", "").query().states == {ReviewState.HELD}


async def test_an_answer_by_another_client_is_shown_as_a_decision(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    await desk.answer(thread, "one", "Ann")
    data = (await desk.client.get(f"/ui/reviews/{review['review_id']}/now", headers={"x-user": "bob"})).json()
    assert data["state_text"] == "decided"
    assert data["review"]["decision"]["decisions"] == [ANSWER]
    assert data["viewer"] == {"identity": "bob", "outsider": "", "refusal": "", "only_rejects": ""}


async def test_a_page_shows_what_became_of_the_call(desk: Desk) -> None:
    _, (review,) = await desk.ask("call")
    path = f"/ui/reviews/{review['review_id']}/now"
    for user in ("bob", "eve"):
        decided = await desk.decide(review, {"kind": "approve"}, user)
    assert (await desk.client.get(path)).json()["awaits_call"] is True
    for call in ("another", "call-1"):
        entry = AuditEntry("tool.called", "slipway", {"call": call, "tool": "refund"})
        await desk.services.audit.append(decided["resumed_by"], entry)
    data = (await desk.client.get(path)).json()
    actions = [(entry["action"], entry["actor"]) for entry in data["history"]]
    decisions = [("review.opened", "slipway"), ("review.voted", "bob"), ("review.decided", "eve")]
    assert actions == [*decisions, ("tool.called", "slipway")]
    assert data["awaits_call"] is False


async def test_the_page_of_a_paused_run_says_who_may_resume_it(desk: Desk) -> None:
    thread, client = (await desk.client.post("/threads", json={})).json()["thread_id"], desk.client
    await client.put("/ops/pause", json={"reason": "maintenance"})
    run = await desk.post(f"/threads/{thread}/runs", {"assistant_id": "one", "input": {"answers": []}})
    path = f"/ui/threads/{thread}/runs/{run['run_id']}/now"

    async def pause(user: str = "ann") -> Any:
        return (await client.get(path, headers={"x-user": user})).json()["pause"]

    async def is_paused() -> bool:
        return await pause() is not None

    await wait_until(is_paused)
    shown = await pause()
    assert "everything is switched off by ann: maintenance; to continue: " in shown["switch"]
    assert shown["resumable"] is False
    await desk.post(f"/ops/runs/{run['run_id']}/pause", {"reason": "wait for Eve"}, "bob")
    assert [(await pause(user))["resumable"] for user in ("ann", "nobody")] == [True, False]
    assert [(await pause())[name] for name in ("by", "reason", "switch")] == ["bob", "wait for Eve", None]
    await client.delete("/ops/pause")


async def test_the_page_of_a_run_that_reached_a_ceiling_has_the_command_that_raises_it(desk: Desk) -> None:
    thread = (await desk.client.post("/threads", json={})).json()["thread_id"]
    body = {"assistant_id": "one", "input": {"answers": []}, "context": {"ceilings": {"max_steps": 0}}}
    await desk.post(f"/threads/{thread}/runs/wait", body)
    (run,) = (await desk.client.get(f"/threads/{thread}/runs")).json()
    data = (await desk.client.get(f"/ui/threads/{thread}/runs/{run['run_id']}/now")).json()
    command = f"slipway runs raise-ceiling {run['run_id']} --limit max_steps=1 --resume"
    assert (data["run"]["error"]["code"], data["raise_command"]) == ("ceiling.steps", command)


def test_numbers_that_a_browser_would_change_are_texts() -> None:
    value = {"large": [2**53, -(2**53)], "exact": [2**53 - 1, 1.5, True, None, "x"]}
    expected = {"large": ["9007199254740992", "-9007199254740992"], "exact": [2**53 - 1, 1.5, True, None, "x"]}
    assert for_browsers(value) == expected


async def test_a_question_with_such_a_number_cannot_be_edited_on_a_page(desk: Desk) -> None:
    for graph, is_exact in (("one", True), ("large", False)):
        _, (review,) = await desk.ask(graph)
        data = (await desk.client.get(f"/ui/reviews/{review['review_id']}/now")).json()
        assert data["is_exact"] is is_exact, graph
    assert data["review"]["question"]["actions"][0]["args"] == {"account": str(2**60)}
