"""Questions become reviews, people decide them once, and their runs resume once."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import orjson

from tests.reviews.conftest import Desk

YES = {"kind": "answer", "value": "yes"}


async def test_a_question_becomes_a_review_and_its_answer_resumes_the_run(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    assert (review["state"], review["node"], review["started_by"]) == ("open", "ask", "ann")
    assert review["question"]["value"] == "What is your name?"
    decided = await desk.decide(review, YES)
    assert (decided["state"], decided["decision"]["by"], decided["decision"]["answer"]) == ("decided", ["bob"], "yes")
    assert await desk.answers(thread) == ["yes"]
    run = await desk.services.runs.find(decided["resumed_by"])
    assert (run.owner, run.resumes) == ("ann", review["run_id"])
    history = (await desk.read(review))["history"]
    assert [entry["action"] for entry in history] == ["review.opened", "review.decided"]


async def test_a_decision_is_made_once(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    await desk.decide(review, YES)
    error = await desk.decide(review, {"kind": "answer", "value": "no"}, "carl", 409)
    assert (error["code"], error["decision"]["by"], error["decision"]["answer"]) == ("review.closed", ["bob"], "yes")
    assert "was decided by bob" in error["detail"]


async def test_answers_are_held_until_all_are_there(desk: Desk) -> None:
    thread, (first, second) = await desk.ask("two")
    held = await desk.decide(first, {"kind": "answer", "value": None})
    assert (held["state"], held["resumed_by"]) == ("held", None)
    assert (await desk.client.get(f"/threads/{thread}")).json()["status"] == "interrupted"
    decided = await desk.decide(second, YES, "carl")
    assert await desk.answers(thread) == [None, "yes"]
    assert (await desk.read(first))["state"] == decided["state"] == "decided"
    assert len((await desk.client.get(f"/threads/{thread}/runs")).json()) == 2


async def test_a_wrong_answer_is_not_stored(desk: Desk) -> None:
    thread, (review,) = await desk.ask("schema")
    error = await desk.decide(review, {"kind": "answer", "value": {"amount": 0}}, status=422)
    assert (error["code"], error["field"]) == ("request.invalid", "value.amount")
    error = await desk.decide(review, {"kind": "approve"}, status=422)
    assert (error["field"], error["known"]) == ("kind", ["answer"])
    error = await desk.answer(thread, "schema", {"amount": "x"}, status=422)
    assert error["field"] == "command.resume.amount"
    shown = await desk.read(review)
    assert (shown["state"], shown["votes"]) == ("open", [])
    await desk.decide(review, {"kind": "answer", "value": {"amount": 3}})
    assert await desk.answers(thread) == [{"amount": 3}]


async def test_an_answer_of_the_ordinary_protocol_is_a_decision(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    run = await desk.answer(thread, "one", "by client")
    assert await desk.answers(thread) == ["by client"]
    shown = await desk.read(review)
    assert (shown["state"], shown["resumed_by"]) == ("decided", run["run_id"])
    assert (shown["decision"]["by"], shown["decision"]["answer"]) == (["ann"], "by client")
    assert [entry["action"] for entry in shown["history"]] == ["review.opened", "review.decided"]
    assert (await desk.decide(review, YES, status=409))["decision"]["answer"] == "by client"


async def test_an_answer_to_one_question_keeps_what_was_decided_about_the_other(desk: Desk) -> None:
    thread, (first, second) = await desk.ask("two")
    await desk.decide(first, YES)
    await desk.answer(thread, "two", {second["interrupt_id"]: "two"})
    assert await desk.answers(thread) == ["two", "yes"] or await desk.answers(thread) == ["yes", "two"]
    assert (await desk.read(first))["state"] == "superseded"
    error = await desk.answer(thread, "two", {first["interrupt_id"]: "again"}, status=409)
    assert error["code"] == "conflict"


async def test_a_run_without_an_answer_supersedes_the_reviews(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    await desk.post(f"/threads/{thread}/runs/wait", {"assistant_id": "one", "input": {"answers": []}})
    error = await desk.decide(review, YES, status=409)
    assert (error["state"], error["code"]) == ("superseded", "review.closed")
    assert "without an answer" in error["reason"]


async def test_a_state_write_supersedes_the_reviews(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    await desk.post(f"/threads/{thread}/state", {"values": {"answers": ["x"]}, "as_node": "ask"})
    assert "through the API" in (await desk.decide(review, YES, status=409))["reason"]


async def test_nobody_answers_the_question_of_a_cancelled_run(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    await desk.post(f"/ops/runs/{review['run_id']}/cancel", {"reason": "not needed"}, "carl")
    assert "the run was cancelled" in (await desk.decide(review, YES, status=409))["reason"]
    assert "was cancelled" in (await desk.answer(thread, "one", "x", status=409))["detail"]
    await desk.post(f"/threads/{thread}/runs/wait", {"assistant_id": "one", "input": {"answers": []}})
    assert len(await desk.reviews(thread)) == 1


async def test_a_review_is_claimed_released_and_reassigned(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    path = f"/ops/reviews/{review['review_id']}"
    claimed = await desk.post(f"{path}/claim", user="bob")
    assert (claimed["state"], claimed["assignee"]) == ("claimed", "bob")
    assert (await desk.post(f"{path}/claim", user="carl", status=409))["assignee"] == "bob"
    assert (await desk.decide(review, YES, "carl", 409))["code"] == "review.claimed"
    assert (await desk.post(f"{path}/release", user="carl", status=409))["code"] == "review.claimed"
    assert (await desk.post(f"{path}/reassign", {"assignee": "carl"}, "dora"))["assignee"] == "carl"
    released = await desk.post(f"{path}/release", user="carl")
    assert (released["state"], released["assignee"]) == ("open", None)
    await desk.decide(review, YES)


async def test_people_talk_about_a_review(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    path = f"/ops/reviews/{review['review_id']}"
    await desk.post(f"{path}/comment", {"text": "I know her"}, "bob")
    asked = await desk.post(f"{path}/request-information", {"text": "Since when?", "follow_up_s": 60}, "carl")
    assert asked["follow_up_at"] is not None
    assert (await desk.post(f"{path}/remind", user="carl"))["reminders"] == 1
    error = await desk.post(f"{path}/remind", user="bob", status=409)
    assert (error["code"], 0 < error["retry_after_s"] <= 60) == ("review.cooldown", True)
    history = (await desk.read(review))["history"]
    assert [(entry["action"], entry["actor"]) for entry in history] == [
        ("review.opened", "slipway"),
        ("review.commented", "bob"),
        ("review.information_requested", "carl"),
        ("review.reminded", "carl"),
    ]


async def test_reviews_are_listed_by_their_conditions(desk: Desk) -> None:
    _, (one,) = await desk.ask("one")
    _, pair = await desk.ask("two")
    await desk.post(f"/ops/reviews/{one['review_id']}/claim", user="bob")
    await desk.decide(pair[0], YES)

    async def listed(**query: str) -> list[str]:
        response = await desk.client.get("/ops/reviews", params=query)
        assert response.status_code == 200, response.text
        page = response.json()
        ids = [each["review_id"] for each in page["reviews"]]
        return ids if page["next"] is None else ids + await listed(**query | {"cursor": page["next"]})

    ids = {each["review_id"] for each in pair}
    assert set(await listed()) == ids | {one["review_id"]}
    assert await listed(state="claimed") == await listed(assignee="bob") == [one["review_id"]]
    assert set(await listed(graph_id="two", limit="1")) == ids
    assert await listed(state="open,claimed", graph_id="two") == [pair[1]["review_id"]]
    assert await listed(created_before=one["created_at"]) == await listed(group="finance") == []
    assert await listed(order="due", limit="1") == [one["review_id"], pair[1]["review_id"]]
    cursor = (await desk.client.get("/ops/reviews", params={"limit": "1"})).json()["next"]
    position = orjson.loads(urlsafe_b64decode(cursor))
    for score in ("nan", "inf", "1_0", " 5 ", 5):
        forged = urlsafe_b64encode(orjson.dumps([score, *position[1:]])).decode()
        response = await desk.client.get("/ops/reviews", params={"limit": "1", "cursor": forged})
        assert response.status_code == 422, score
    for odd in ({"state": "odd"}, {"order": "due", "state": "held"}):
        assert (await desk.client.get("/ops/reviews", params=odd)).status_code == 422


async def test_a_request_cannot_forge_who_decides_or_hide_what_it_says(desk: Desk) -> None:
    _, (review,) = await desk.ask("guarded")
    path = f"/ops/reviews/{review['review_id']}"
    for operation, body in (
        ("decide", YES | {"groups": ["finance"]}),
        ("decide", YES | {"by": "eve"}),
        ("decide", {"kind": "answer", "value": "x" * (1 << 20)}),
        ("comment", {"text": "a\0b"}),
        ("comment", {"text": "a", "by": "eve"}),
        *((operation, {"groups": ["finance"]}) for operation in ("claim", "release", "remind")),
        *(("reassign", {"assignee": name}) for name in ("\u202ebob", " bob", "bob\nann", "bo\u200bb", "\0")),
    ):
        await desk.post(f"{path}/{operation}", body, "bob", 422)
    await desk.post(f"{path}/claim", {}, "bob", 403)
    assert [entry["action"] for entry in (await desk.read(review))["history"]] == ["review.opened"]


async def test_who_has_not_the_permission_reads_no_review(desk: Desk) -> None:
    _, (review,) = await desk.ask("one")
    response = await desk.client.get(f"/ops/reviews/{review['review_id']}", headers={"x-user": "nobody"})
    assert (response.status_code, "slipway:review" in response.text) == (403, True)


async def test_the_reviews_of_a_deleted_thread_are_deleted(desk: Desk) -> None:
    thread, (review,) = await desk.ask("one")
    assert (await desk.client.delete(f"/threads/{thread}")).status_code == 204
    await desk.decide(review, YES, status=404)
    keys = await desk.services.pipeline.send("KEYS", f"{desk.services.keys.prefix}:review*")
    assert keys == []
