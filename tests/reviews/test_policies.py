"""Policies: who may decide a review, how many must agree, and what happens at its times."""

from __future__ import annotations

from tests.reviews.conftest import Desk, let_time_come

YES = {"kind": "answer", "value": "yes"}
NO = {"kind": "answer", "value": "no"}


async def test_a_quorum_needs_the_same_answer_of_different_members_who_did_not_start_the_run(desk: Desk) -> None:
    thread, (review,) = await desk.ask("guarded", "ann finance")
    assert (await desk.decide(review, YES, "bob", 403))["code"] == "review.refused"
    assert "started the run" in (await desk.decide(review, YES, "ann finance", 403))["detail"]
    voted = await desk.decide(review, YES, "bob finance")
    assert (voted["state"], voted["votes"]) == ("open", [{"by": "bob", "decisions": [YES]}])
    assert (await desk.decide(review, YES, "bob finance"))["state"] == "open"
    assert (await desk.decide(review, NO, "carl finance"))["state"] == "open"
    decided = await desk.decide(review, YES, "carl finance")
    assert (decided["state"], decided["decision"]["by"]) == ("decided", ["bob", "carl"])
    assert await desk.answers(thread) == ["yes"]
    actions = [(entry["action"], entry["actor"]) for entry in (await desk.read(review))["history"]]
    assert actions == [
        ("review.opened", "slipway"),
        ("review.voted", "bob"),
        ("review.voted", "bob"),
        ("review.voted", "carl"),
        ("review.decided", "carl"),
    ]


async def test_an_answer_of_the_ordinary_protocol_follows_the_policy(desk: Desk) -> None:
    thread, (review,) = await desk.ask("guarded")
    assert (await desk.answer(thread, "guarded", "yes", "bob", 403))["code"] == "review.refused"
    assert (await desk.answer(thread, "guarded", "yes", "ann finance", 403))["code"] == "review.refused"
    error = await desk.answer(thread, "guarded", "yes", "bob finance", 409)
    assert (error["code"], error["quorum"], review["review_id"] in error["detail"]) == ("review.quorum", 2, True)
    await desk.decide(review, YES, "carl finance")
    await desk.answer(thread, "guarded", "yes", "bob finance")
    assert await desk.answers(thread) == ["yes"]
    assert (await desk.read(review))["decision"]["by"] == ["carl", "bob"]


async def test_an_answer_that_was_sent_before_the_question_is_not_accepted(desk: Desk) -> None:
    thread = (await desk.client.post("/threads", json={})).json()["thread_id"]
    paused = await desk.client.put("/ops/pause", json={"reason": "both runs must wait"})
    assert paused.status_code == 200, paused.text
    await desk.post(f"/threads/{thread}/runs", {"assistant_id": "guarded", "input": {"answers": []}})
    early = await desk.answer(thread, "guarded", "yes")
    await desk.client.delete("/ops/pause")
    error = await desk.client.get(f"/threads/{thread}/runs/{early['run_id']}/join")
    run = await desk.services.runs.find(early["run_id"])
    assert run.phase == "cancelled", error.text
    assert "before it was asked" in (run.cancel_cause or "")
    (review,) = await desk.reviews(thread)
    assert review["state"] == "open"
    await desk.decide(review, YES, "bob finance")
    await desk.decide(review, YES, "carl finance")
    assert await desk.answers(thread) == ["yes"]


async def test_people_are_reminded_and_more_groups_may_decide(desk: Desk) -> None:
    _, (review,) = await desk.ask("timed")
    assert None not in (review["due_at"], review["remind_at"], review["escalate_at"])
    await desk.decide(review, YES, "bob finance", 403)
    await let_time_come(desk, review, "remind_us")
    shown = await desk.read(review)
    assert (shown["reminders"], shown["remind_at"] > review["remind_at"]) == (1, True)
    await let_time_come(desk, review, "escalate_us")
    assert (await desk.read(review))["groups"] == ["support", "finance"]
    await desk.decide(review, YES, "bob finance")


async def test_nobody_decides_after_the_due_time_and_the_default_action_answers(desk: Desk) -> None:
    thread, (review,) = await desk.ask("timed")
    services = desk.services
    await services.pipeline.send("HSET", services.keys.review(review["review_id"]), "due_us", 1)
    assert "it was due" in (await desk.decide(review, YES, "bob support", 409))["detail"]
    assert (await desk.answer(thread, "timed", "x", "bob support", 409))["code"] == "review.closed"
    await let_time_come(desk, review, "due_us")
    assert await desk.answers(thread) == ["nobody"]
    shown = await desk.read(review)
    assert (shown["state"], shown["decision"]["by"], shown["expired"]) == ("expired", ["slipway"], True)


async def test_a_run_that_nobody_decided_is_cancelled(desk: Desk) -> None:
    thread, (review,) = await desk.ask("cancelled")
    await let_time_come(desk, review, "due_us")
    run = await desk.services.runs.find(review["run_id"])
    assert (run.phase, run.cancel_cause) == ("cancelled", "nobody decided its review in time")
    assert "nobody decided" in (await desk.decide(review, YES, status=409))["reason"]
    await desk.answer(thread, "cancelled", "x", status=409)


async def test_a_follow_up_comes_once(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    body = {"text": "which one?", "follow_up_s": 60}
    await desk.post(f"/ops/reviews/{review['review_id']}/request-information", body, "bob")
    await let_time_come(desk, review, "follow_up_us")
    shown = await desk.read(review)
    assert (shown["follow_up_at"], shown["history"][-1]["action"]) == (None, "review.follow_up")


async def test_a_repeated_question_keeps_its_votes_and_its_due_time(desk: Desk) -> None:
    thread, (review,) = await desk.ask("guarded")
    await desk.decide(review, YES, "bob finance")
    await desk.post(f"/threads/{thread}/runs/wait", {"assistant_id": "guarded", "input": None})
    (again,) = await desk.reviews(thread)
    assert (again["review_id"] != review["review_id"], again["asked_before"]) == (True, review["review_id"])
    assert again["votes"] == [{"by": "bob", "decisions": [YES]}]
    assert (await desk.decide(again, YES, "carl finance"))["state"] == "decided"
    history = [entry["action"] for entry in (await desk.read(again))["history"]]
    assert history == ["review.opened", "review.voted", "review.superseded", "review.opened", "review.decided"]


async def test_an_answer_that_did_not_reach_the_graph_is_sent_again_as_it_was_decided(desk: Desk) -> None:
    thread, (review,) = await desk.ask("guarded")
    await desk.decide(review, YES, "bob finance")
    await desk.client.put("/ops/pause", json={"reason": "the run with the answer must wait"})
    resumed = (await desk.decide(review, YES, "carl finance"))["resumed_by"]
    await desk.post(f"/ops/runs/{resumed}/cancel", {}, "bob")
    await desk.client.delete("/ops/pause")
    error = await desk.answer(thread, "guarded", "no", "ann finance", 409)
    assert (error["code"], error["decision"]["answer"]) == ("review.closed", "yes")
    await desk.answer(thread, "guarded", "yes")
    assert await desk.answers(thread) == ["yes"]


async def test_a_graph_cannot_ask_in_the_name_of_the_tool_gateway(desk: Desk) -> None:
    _, (review,) = await desk.ask("forged")
    assert (review["interrupt"]["value"]["slipway"]["quorum"], review["policy"]) == (2, {})
    decided = await desk.decide(review, {"kind": "approve"})
    assert (decided["state"], decided["decision"]["by"]) == ("decided", ["bob"])
    approvals = await desk.services.pipeline.send("KEYS", f"{desk.services.keys.prefix}:thread:*:approvals")
    assert approvals == []
