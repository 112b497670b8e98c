"""People approve calls before they are made: exactly what they approved is executed, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.project_fixtures import graphs_of, module_of, settings_of
from tests.reviews.conftest import Desk
from tests.waiting import wait_until
from tests.worker import running_worker

PROJECT = Path(__file__).parent / "approval_project" / "langgraph.json"
APPROVE = {"kind": "approve"}

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, breaker_failures=2)
project = module_of("./desk.py:above_ten")


class Approvals:
    """The API, and what the tools of a thread have done."""

    def __init__(self, desk: Desk, project: ModuleType) -> None:
        self.desk, self._project = desk, project

    def effects(self, thread: str) -> list[Any]:
        found: list[Any] = self._project.effects[thread]
        return found

    def times_evaluated(self, thread: str) -> int:
        return int(self._project.evaluated[thread])

    def permit_shipping(self, thread: str) -> None:
        """The node `ship` fails no more."""
        self._project.may_ship.add(thread)

    async def ask(self, graph: str, *calls: tuple[str, dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
        """Runs a graph with these calls until it asks or ends: its thread, and its open reviews."""
        thread = (await self.desk.client.post("/threads", json={})).json()["thread_id"]
        body = {"assistant_id": graph, "input": {"calls": calls, "answers": []}}
        await self.desk.post(f"/threads/{thread}/runs/wait", body)
        return thread, await self.desk.reviews(thread)

    async def next_review(self, thread: str, before: dict[str, Any]) -> dict[str, Any]:
        """The review of the next question of the thread."""

        async def asks_again() -> bool:
            reviews = await self.desk.reviews(thread)
            status = (await self.desk.client.get(f"/threads/{thread}")).json()["status"]
            return bool(status == "interrupted" and reviews[0]["review_id"] != before["review_id"])

        await wait_until(asks_again)
        (review,) = await self.desk.reviews(thread)
        return review


@pytest.fixture
async def approvals(settings: Settings, graphs: Registry, project: ModuleType) -> AsyncIterator[Approvals]:
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs) as (_, worker),
        httpx.AsyncClient(base_url=served.url, timeout=10) as client,
    ):
        yield Approvals(Desk(client, served.services, worker), project)


async def test_a_call_is_made_when_it_is_approved(approvals: Approvals) -> None:
    desk = approvals.desk
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}), ("note", {"text": "n"}))
    (action,) = review["question"]["actions"]
    assert (action["name"], action["args"]) == ("refund", {"order": "a", "amount": 1.0})
    assert action["allowed_decisions"] == ["approve", "edit", "reject"]
    assert approvals.effects(thread) == [], "nothing acts before it is approved"
    await desk.decide(review, APPROVE)
    assert await desk.answers(thread) == ["refunded a: 1.0", "noted n"]
    assert approvals.effects(thread) == [("refund", "a", 1.0), ("note", "n")]


async def test_a_list_that_the_node_changes_is_not_what_was_approved(approvals: Approvals) -> None:
    """What is executed is what people saw, although the node has the list and goes on."""
    thread, (review,) = await approvals.ask("changing")
    guests = review["question"]["actions"][0]["args"]["guests"]
    await approvals.desk.decide(review, APPROVE)
    assert await approvals.desk.answers(thread) == ["invited"]
    assert approvals.effects(thread) == [("invite", tuple(guests))]


async def test_a_rejected_call_is_not_made(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}), ("note", {"text": "n"}))
    await approvals.desk.decide(review, {"kind": "reject", "message": "not hers"})
    answers = await approvals.desk.answers(thread)
    assert answers[0].startswith("ToolRejected: The call of refund was rejected by a reviewer")
    assert answers[0].endswith("The reason: not hers")
    assert approvals.effects(thread) == [("note", "n")]


async def test_each_call_of_a_task_is_asked_about_in_turn(approvals: Approvals) -> None:
    calls = [("refund", {"order": order}) for order in "abc"]
    thread, (first,) = await approvals.ask("sequence", *calls)
    await approvals.desk.decide(first, APPROVE)
    second = await approvals.next_review(thread, first)
    assert second["question"]["actions"][0]["args"]["order"] == "b"
    assert approvals.effects(thread) == [("refund", "a", 1.0)]
    await approvals.desk.decide(second, {"kind": "reject"})
    third = await approvals.next_review(thread, second)
    await approvals.desk.decide(third, APPROVE)
    answers = await approvals.desk.answers(thread)
    assert [answer.partition(":")[0] for answer in answers] == ["refunded a", "ToolRejected", "refunded c"]
    assert approvals.effects(thread) == [("refund", "a", 1.0), ("refund", "c", 1.0)], "none was made again"


async def test_questions_of_the_node_and_of_its_tools_do_not_mix(approvals: Approvals) -> None:
    desk = approvals.desk
    thread, (first,) = await approvals.ask("questions", ("refund", {"order": "a"}))
    await desk.decide(first, {"kind": "answer", "value": "1"})
    call = await approvals.next_review(thread, first)
    await desk.decide(call, APPROVE)
    second = await approvals.next_review(thread, call)
    assert second["question"]["value"] == "second?"
    await desk.decide(second, {"kind": "answer", "value": "2"})
    assert await desk.answers(thread) == ["1", "refunded a: 1.0", "2"]
    assert approvals.effects(thread) == [("refund", "a", 1.0)]


async def test_parallel_calls_are_asked_about_at_once(approvals: Approvals) -> None:
    thread, reviews = await approvals.ask("parallel", ("refund", {"order": "a"}), ("refund", {"order": "b"}))
    by_order = {review["question"]["actions"][0]["args"]["order"]: review for review in reviews}
    await approvals.desk.decide(by_order["b"], {"kind": "reject"})
    assert approvals.effects(thread) == []
    await approvals.desk.decide(by_order["a"], APPROVE)
    answers = await approvals.desk.answers(thread)
    assert [answer.partition(":")[0] for answer in answers] == ["refunded a", "ToolRejected"]
    assert approvals.effects(thread) == [("refund", "a", 1.0)], "a rejected call does not discard the other"


async def test_parallel_calls_of_one_task_are_asked_about_in_turn(approvals: Approvals) -> None:
    thread, (first,) = await approvals.ask("tool_node", ("refund", {"order": "a"}), ("refund", {"order": "b"}))
    await approvals.desk.decide(first, APPROVE)
    second = await approvals.next_review(thread, first)
    await approvals.desk.decide(second, {"kind": "reject", "message": "no"})
    await approvals.desk.answers(thread)
    state = (await approvals.desk.client.get(f"/threads/{thread}/state")).json()
    messages = {message["tool_call_id"]: message for message in state["values"]["messages"][1:]}
    asked_first = first["question"]["actions"][0]["args"]["order"]
    approved, rejected = ("call_0", "call_1") if asked_first == "a" else ("call_1", "call_0")
    assert (messages[approved]["status"], messages[rejected]["status"]) == ("success", "error")
    assert approvals.effects(thread) == [("refund", asked_first, 1.0)]


async def test_an_answer_is_taken_by_the_call_that_was_asked_about(approvals: Approvals) -> None:
    """Also if another call of the task needs approval first when the node is executed again."""
    thread, (first,) = await approvals.ask("together", ("transfer", {"to": "t"}), ("refund", {"order": "r"}))
    rejected = first["question"]["actions"][0]["name"]
    await approvals.desk.decide(first, {"kind": "reject", "message": "not this one"})
    second = await approvals.next_review(thread, first)
    approved = second["question"]["actions"][0]["name"]
    assert {rejected, approved} == {"refund", "transfer"}, "people are asked about both"
    await approvals.desk.decide(second, APPROVE)
    answers = await approvals.desk.answers(thread)
    assert [answer.endswith("not this one") for answer in answers] == [
        name == rejected for name in ("transfer", "refund")
    ]
    assert [effect[0] for effect in approvals.effects(thread)] == [approved]


async def test_a_predicate_is_not_evaluated_again(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("pay", {"to": "x", "amount": 11}))
    await approvals.desk.decide(review, {"kind": "reject"})
    assert (await approvals.desk.answers(thread))[0].startswith("ToolRejected")
    assert (approvals.times_evaluated(thread), approvals.effects(thread)) == (1, [])
    thread, reviews = await approvals.ask("sequence", ("pay", {"to": "x", "amount": 9}))
    assert (reviews, approvals.effects(thread)) == ([], [("pay", "x", 9, None)])
    thread, reviews = await approvals.ask("sequence", ("pay", {"to": "x", "amount": 666}))
    assert (reviews, approvals.effects(thread)) == ([], []), "a rule that fails permits nothing"


async def test_a_quorum_that_the_predicate_asks_for(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("pay", {"to": "x", "amount": 2000}))
    await approvals.desk.decide(review, APPROVE, "bob")
    await approvals.desk.decide(review, APPROVE, "bob")
    assert approvals.effects(thread) == []
    await approvals.desk.decide(review, APPROVE, "carl")
    assert await approvals.desk.answers(thread) == ["paid x"]
    assert approvals.effects(thread) == [("pay", "x", 2000, None)]


async def test_an_edited_call_is_made_instead(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}), ("refund", {"order": "b"}))
    await approvals.desk.decide(review, {"kind": "edit", "args": {"order": "a", "amount": 5}})
    second = await approvals.next_review(thread, review)
    assert second["question"]["actions"][0]["args"]["order"] == "b"
    await approvals.desk.decide(second, APPROVE)
    assert await approvals.desk.answers(thread) == ["refunded a: 5.0", "refunded b: 1.0"]
    assert approvals.effects(thread) == [("refund", "a", 5.0), ("refund", "b", 1.0)]


async def test_an_edit_is_checked_like_any_call(approvals: Approvals) -> None:
    desk = approvals.desk
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    error = await desk.decide(review, {"kind": "edit", "args": {"amount": "x"}}, status=422)
    assert error["field"].startswith("args")
    await desk.decide(review, {"kind": "edit", "name": "forbidden", "args": {"text": "x"}})
    (answer,) = await desk.answers(thread)
    assert answer.startswith("ToolRefused: no rule of slipway.grants permits tool 'forbidden'")
    assert approvals.effects(thread) == []


async def test_the_rule_is_asked_again_for_an_edited_call(approvals: Approvals) -> None:
    desk = approvals.desk
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}), ("note", {"text": "n"}))
    await desk.decide(review, {"kind": "edit", "name": "pay", "args": {"to": "x", "amount": 5000}}, "bob")
    again = await approvals.next_review(thread, review)
    assert again["question"]["actions"][0] == again["question"]["actions"][0] | {
        "name": "pay",
        "args": {"to": "x", "amount": 5000},
    }
    assert approvals.effects(thread) == []
    await desk.decide(again, APPROVE, "carl")
    assert await desk.answers(thread) == ["paid x", "noted n"], "whoever edited it is one of the two"
    assert approvals.effects(thread) == [("pay", "x", 5000, None), ("note", "n")]


async def test_an_edit_does_not_evade_the_groups_of_another_policy(approvals: Approvals) -> None:
    desk = approvals.desk
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    await desk.decide(review, {"kind": "edit", "name": "wire", "args": {"to": "x"}}, "bob")
    again = await approvals.next_review(thread, review)
    for user in ("bob", "bob finance", "dora"):  # the editor, and somebody of no group
        assert (await desk.decide(again, APPROVE, user, 403))["code"] == "review.refused"
    assert approvals.effects(thread) == []
    await desk.decide(again, APPROVE, "carl finance")
    assert await desk.answers(thread) == ["wired x"]
    assert approvals.effects(thread) == [("wire", "x")]


async def test_redacted_arguments_are_not_shown_and_not_lost(approvals: Approvals) -> None:
    card = {"number": "4111", "name": "Ann"}
    thread, (review,) = await approvals.ask("sequence", ("pay", {"to": "x", "amount": 11, "card": card}))
    shown = review["question"]["actions"][0]["args"]
    assert shown == {"to": "x", "amount": 11, "card": {"number": "[redacted]", "name": "Ann"}}
    await approvals.desk.decide(review, {"kind": "edit", "args": shown | {"amount": 5}})
    assert await approvals.desk.answers(thread) == ["paid x"]
    assert approvals.effects(thread) == [("pay", "x", 5, card)]


async def test_an_approval_of_the_ordinary_protocol(approvals: Approvals) -> None:
    thread, _ = await approvals.ask("sequence", ("refund", {"order": "a"}))
    await approvals.desk.answer(thread, "sequence", {"type": "approve"})
    assert await approvals.desk.answers(thread) == ["refunded a: 1.0"]
    assert approvals.effects(thread) == [("refund", "a", 1.0)]


@pytest.mark.parametrize("graph", ["sequence", "careless"])
async def test_a_switch_stops_a_run_before_the_tool(approvals: Approvals, graph: str) -> None:
    """Also if the node catches all exceptions."""
    client, desk = approvals.desk.client, approvals.desk
    thread, (review,) = await approvals.ask(graph, ("refund", {"order": "a"}), ("note", {"text": "n"}))
    response = await client.put("/ops/tools/refund", json={"reason": "too many refunds"})
    assert response.status_code == 200, response.text
    run = (await desk.decide(review, APPROVE))["resumed_by"]

    async def is_paused() -> bool:
        return bool((await client.get(f"/threads/{thread}/runs/{run}")).json()["phase"] == "paused")

    await wait_until(is_paused)
    assert approvals.effects(thread) == []
    assert "tool 'refund' is switched off" in (await client.get(f"/threads/{thread}/runs/{run}")).json()["reason"]
    await client.delete("/ops/tools/refund")
    assert await desk.answers(thread) == ["refunded a: 1.0", "noted n"]
    assert approvals.effects(thread) == [("refund", "a", 1.0), ("note", "n")]


async def test_the_model_learns_that_its_call_was_replaced(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("tool_node", ("refund", {"order": "a"}))
    await approvals.desk.decide(review, {"kind": "edit", "args": {"order": "b", "amount": 2}})
    await approvals.desk.answers(thread)
    message = (await approvals.desk.client.get(f"/threads/{thread}/state")).json()["values"]["messages"][-1]
    replaced = 'A reviewer replaced this call. What was called is refund with {"amount":2,"order":"b"}.'
    assert message["content"] == f"{replaced}\nrefunded b: 2.0"


async def test_the_audit_trail_says_who_approved_what_was_executed(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    run = (await approvals.desk.decide(review, APPROVE, "carl"))["resumed_by"]
    await approvals.desk.answers(thread)
    entries = (await approvals.desk.client.get(f"/ops/runs/{run}/audit")).json()["entries"]
    assert [entry["action"] for entry in entries if entry["action"].startswith("tool.")] == [
        "tool.permitted",
        "tool.approved",
        "tool.called",
    ]
    (approved,) = [entry for entry in entries if entry["action"] == "tool.approved"]
    assert (approved["actor"], approved["details"]["review_id"]) == ("carl", review["review_id"])


async def test_a_tool_that_fails_again_and_again_is_not_called(approvals: Approvals) -> None:
    for expected in ("node.failed", "node.failed", "breaker.open"):
        thread, _ = await approvals.ask("sequence", ("broken", {}))
        (run,) = (await approvals.desk.client.get(f"/threads/{thread}/runs")).json()
        assert run["error"]["code"] == expected
    assert approvals.effects(thread) == []
    for effects in (["replaced", "note"], ["replaced", "note"], ["note"]):
        thread, _ = await approvals.ask("sequence", ("replaced", {"text": "x"}))
        assert [name for name, *_ in approvals.effects(thread)] == effects
