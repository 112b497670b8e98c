"""The refund desk: the policy, the person, and one refund however often it is tried."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from examples.refund_desk import ledger, review, rules
from examples.refund_desk.graph import build
from examples.refund_desk.orders import Order

Graph = CompiledStateGraph[Any, Any, Any, Any]
THREAD: RunnableConfig = {"configurable": {"thread_id": "case-1"}}
LARGE = {"order_id": "A-1002", "reason": "It does not fit my bench"}


def desk(store: BaseStore | None = None) -> Graph:
    graph: Graph = build()
    graph.checkpointer = InMemorySaver()
    graph.store = store
    return graph


async def test_a_small_refund_is_paid_without_asking() -> None:
    out = await desk().ainvoke({"order_id": "a-1001 ", "reason": "Too small"}, THREAD)
    assert out["decision"] == "approved"
    assert out["refund"]["amount"] == "49.90"
    assert out["refund"]["currency"] == "EUR"
    assert out["refund"]["id"] in out["explanation"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"order_id": "A-1003", "reason": "Changed my mind"}, "the window of 30 days has closed"),
        ({"order_id": "A-1004", "reason": "Changed my mind"}, "refunded in full already"),
        ({"order_id": "A-1005", "reason": "Changed my mind"}, "made to order"),
        ({"order_id": "A-1001", "reason": "Too small", "amount": 50}, "is more than the remaining 49.90 EUR"),
        ({"order_id": "Z-9", "reason": "Too small"}, "There is no order Z-9"),
    ],
)
async def test_the_policy_refuses_and_says_why(wish: dict[str, Any], words: str) -> None:
    out = await desk().ainvoke(wish, THREAD)
    assert out["refund"] is None
    assert words in out["explanation"]


async def test_a_faulty_item_is_refunded_after_the_window() -> None:
    out = await desk().ainvoke({"order_id": "A-1003", "reason": "It is broken"}, THREAD)
    assert out["refund"]["amount"] == "129.00"


async def test_a_large_refund_asks_a_person_in_the_shape_of_approval_cards() -> None:
    out = await desk().ainvoke(LARGE, THREAD)
    value = out["__interrupt__"][0].value
    assert value["action_requests"][0]["name"] == value["review_configs"][0]["action_name"] == "issue_refund"
    assert value["action_requests"][0]["args"]["amount"] == "389.00"
    assert value["review_configs"][0]["allowed_decisions"] == ["approve", "edit", "reject"]
    assert out["refund"] is None


@pytest.mark.parametrize(
    "resume",
    [{"decisions": [{"type": "approve"}]}, {"type": "approve"}, [{"type": "approve"}], "approve", "Yes!", True],
)
async def test_every_form_of_yes_pays(resume: object) -> None:
    graph = desk()
    await graph.ainvoke(LARGE, THREAD)
    out = await graph.ainvoke(Command(resume=resume), THREAD)
    assert out["decision"] == "approved by a person"
    assert out["refund"]["amount"] == "389.00"


@pytest.mark.parametrize(
    "resume", [{"decisions": [{"type": "reject", "message": "No receipt"}]}, "reject", False, {"type": "reject"}]
)
async def test_every_form_of_no_pays_nothing(resume: object) -> None:
    graph = desk()
    await graph.ainvoke(LARGE, THREAD)
    out = await graph.ainvoke(Command(resume=resume), THREAD)
    assert out["decision"] == "rejected by a person"
    assert out["refund"] is None


async def test_an_edited_amount_is_paid() -> None:
    graph = desk()
    await graph.ainvoke(LARGE, THREAD)
    edit = {"type": "edit", "edited_action": {"name": "issue_refund", "args": {"amount": "300"}}}
    out = await graph.ainvoke(Command(resume={"decisions": [edit]}), THREAD)
    assert out["refund"]["amount"] == "300.00"


@pytest.mark.parametrize(
    ("resume", "words"),
    [
        ("perhaps", "not a decision"),
        (7, "not a decision"),
        ({"foo": 1}, 'no "type"'),
        ({"decisions": []}, "one decision"),
        ({"type": "edit"}, "needs the new amount"),
        ({"type": "edit", "amount": "9000"}, "at most 389.00"),
        ({"type": "edit", "amount": "a lot"}, "an amount such as 49.90 is expected, not 'a lot'"),
    ],
)
async def test_a_garbled_answer_is_asked_again(resume: object, words: str) -> None:
    graph = desk()
    await graph.ainvoke(LARGE, THREAD)
    out = await graph.ainvoke(Command(resume=resume), THREAD)
    description = out["__interrupt__"][0].value["action_requests"][0]["description"]
    assert description.startswith("The last answer was rejected:")
    assert words in description
    paid = await graph.ainvoke(Command(resume="approve"), THREAD)
    assert paid["refund"]["amount"] == "389.00"


async def test_the_same_key_issues_one_refund() -> None:
    store = InMemoryStore()
    first = await ledger.issue_refund("A-1", "10.00", "EUR", "key", {}, store)
    again = await ledger.issue_refund("A-1", "99.00", "EUR", "key", {}, store)
    assert first == again
    assert len(await store.asearch(ledger.NAMESPACE)) == 1
    assert await ledger.issue_refund("A-1", "99.00", "EUR", "key", {"key": first}, None) == first


async def test_paying_again_from_the_checkpoint_before_it_issues_one_refund() -> None:
    store = InMemoryStore()
    graph = desk(store)
    first = await graph.ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    before = [state async for state in graph.aget_state_history(THREAD) if state.next == ("issue",)]
    again = await graph.ainvoke(None, before[0].config)
    assert again["refund"] == first["refund"]
    assert len(await store.asearch(ledger.NAMESPACE)) == 1


async def test_a_second_wish_for_the_same_order_finds_it_refunded() -> None:
    graph = desk()
    await graph.ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    out = await graph.ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    assert out["refund"] is None
    assert "refunded in full already" in out["explanation"]


async def test_the_amount_of_one_wish_is_not_taken_for_the_next() -> None:
    graph = desk()
    first = await graph.ainvoke({"order_id": "A-1001", "reason": "A scratch", "amount": 10}, THREAD)
    second = await graph.ainvoke({"order_id": "A-1001", "reason": "It is broken"}, THREAD)
    assert (first["refund"]["amount"], second["refund"]["amount"]) == ("10.00", "39.90")


@pytest.mark.parametrize(
    ("days", "reason", "made_to_order", "outcome"),
    [
        (30, "Too small", False, "approve"),
        (31, "Too small", False, "refuse"),
        (31, "It is broken", False, "approve"),
        (36 * 30, "It is broken", False, "approve"),
        (36 * 30 + 1, "It is broken", False, "refuse"),
        (1, "Too small", True, "refuse"),
        (1, "It is broken", True, "approve"),
    ],
)
def test_the_last_day_counts(days: int, reason: str, made_to_order: bool, outcome: str) -> None:
    order: Order = {
        **{"order_id": "X-1", "item": "A lamp", "total": "30.00"},
        "delivered_days_ago": days,
        "made_to_order": made_to_order,
    }
    assert rules.apply_policy(order, reason, None).outcome == outcome


@pytest.mark.parametrize(("wanted", "outcome"), [("200.00", "approve"), ("200.01", "review"), ("250.00", "review")])
def test_a_person_is_asked_only_above_the_limit(wanted: str, outcome: str) -> None:
    order: Order = {"order_id": "X-1", "item": "A lamp", "total": "250.00", "delivered_days_ago": 1}
    verdict = rules.apply_policy(order, "Too bright", Decimal(wanted))
    assert (verdict.outcome, verdict.amount) == (outcome, Decimal(wanted))


async def test_what_went_back_for_one_order_is_not_taken_off_another() -> None:
    store = InMemoryStore()
    first = await desk(store).ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    assert first["refund"]["amount"] == "49.90"
    out = await desk(store).ainvoke(LARGE, THREAD)
    assert out["__interrupt__"][0].value["action_requests"][0]["args"]["amount"] == "389.00"


async def test_another_thread_finds_it_in_the_store() -> None:
    store = InMemoryStore()
    await desk(store).ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    other: RunnableConfig = {"configurable": {"thread_id": "case-2"}}
    out = await desk(store).ainvoke({"order_id": "A-1001", "reason": "Too small"}, other)
    assert out["refund"] is None


async def test_a_given_order_stands_in_for_a_built_in_one() -> None:
    orders = [{"order_id": "a-1002", "item": "A lamp", "total": "30.00", "delivered_days_ago": 1}]
    out = await desk().ainvoke(LARGE | {"orders": orders}, THREAD)
    assert (out["decision"], out["refund"]["amount"]) == ("approved", "30.00")


async def test_given_orders_and_the_limit_of_the_context() -> None:
    orders = [{"order_id": "X-1", "item": "A lamp", "total": 30, "delivered_days_ago": 1}]
    wish = {"order_id": "X-1", "reason": "Too bright", "orders": orders}
    out = await desk().ainvoke(wish, THREAD, context={"review_above": 20})
    assert out["__interrupt__"][0].value["action_requests"][0]["args"]["amount"] == "30.00"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"order_id": "", "reason": "x"}, "order_id"),
        ({"order_id": "A-1001", "reason": " "}, "reason"),
        ({"order_id": "A-1001", "reason": "x", "amount": -1}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "amount": "nan"}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "amount": 1.005}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "orders": [{}]}, r"orders\[0\]\.order_id"),
    ],
)
async def test_wrong_input_is_refused_by_name(wish: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        await desk().ainvoke(wish, THREAD)


@pytest.mark.parametrize(
    "edit", [{"amount": 5}, {"args": {"amount": 5}}, {"edited_action": {"args": {"amount": "5.00"}}}]
)
def test_an_edit_has_its_amount_in_one_of_three_places(edit: dict[str, Any]) -> None:
    answer = review.parse_answer({"type": "edit", "message": "half", **edit}, Decimal("9.00"))
    assert (answer.decision, answer.amount, answer.message) == ("approve", Decimal("5.00"), "half")


def test_an_edit_may_not_exceed_what_is_left() -> None:
    assert review.parse_answer({"type": "edit", "amount": 5}, Decimal("5.00")).amount == Decimal("5.00")
    with pytest.raises(review.InvalidAnswer, match="at most"):
        review.parse_answer({"type": "edit", "amount": "5.01"}, Decimal("5.00"))
