"""The refund desk: policy, approval by a person, and exactly one refund after retries."""

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


async def test_a_small_refund_is_paid_without_approval() -> None:
    out = await desk().ainvoke({"order_id": "a-1001 ", "reason": "Too small"}, THREAD)
    assert out["decision"] == "approved"
    assert out["refund"]["amount"] == "49.90"
    assert out["refund"]["currency"] == "EUR"
    assert out["refund"]["id"] in out["explanation"]


@pytest.mark.parametrize(
    ("graph_input", "words"),
    [
        ({"order_id": "A-1003", "reason": "Changed my mind"}, "the window of 30 days has closed"),
        ({"order_id": "A-1004", "reason": "Changed my mind"}, "refunded in full already"),
        ({"order_id": "A-1005", "reason": "Changed my mind"}, "made to order"),
        ({"order_id": "A-1001", "reason": "Too small", "amount": 50}, "is more than the remaining 49.90 EUR"),
        ({"order_id": "Z-9", "reason": "Too small"}, "There is no order Z-9"),
    ],
)
async def test_a_refused_refund_has_a_reason(graph_input: dict[str, Any], words: str) -> None:
    out = await desk().ainvoke(graph_input, THREAD)
    assert out["refund"] is None
    assert words in out["explanation"]


async def test_a_faulty_item_is_refunded_after_the_window() -> None:
    out = await desk().ainvoke({"order_id": "A-1003", "reason": "It is broken"}, THREAD)
    assert out["refund"]["amount"] == "129.00"


async def test_a_large_refund_interrupts_with_an_approval_request() -> None:
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
async def test_every_form_of_approval_pays(resume: object) -> None:
    graph = desk()
    await graph.ainvoke(LARGE, THREAD)
    out = await graph.ainvoke(Command(resume=resume), THREAD)
    assert out["decision"] == "approved by a person"
    assert out["refund"]["amount"] == "389.00"


@pytest.mark.parametrize(
    "resume", [{"decisions": [{"type": "reject", "message": "No receipt"}]}, "reject", False, {"type": "reject"}]
)
async def test_every_form_of_rejection_pays_nothing(resume: object) -> None:
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
async def test_an_invalid_answer_interrupts_again(resume: object, words: str) -> None:
    graph = desk()
    await graph.ainvoke(LARGE, THREAD)
    out = await graph.ainvoke(Command(resume=resume), THREAD)
    description = out["__interrupt__"][0].value["action_requests"][0]["description"]
    assert description.startswith("The last answer was rejected:")
    assert words in description
    paid = await graph.ainvoke(Command(resume="approve"), THREAD)
    assert paid["refund"]["amount"] == "389.00"


async def test_a_repeated_idempotency_key_issues_one_refund() -> None:
    store = InMemoryStore()
    first = await ledger.issue_refund("A-1", "10.00", "EUR", "key", {}, store)
    again = await ledger.issue_refund("A-1", "99.00", "EUR", "key", {}, store)
    assert first == again
    assert len(await store.asearch(ledger.NAMESPACE)) == 1
    assert await ledger.issue_refund("A-1", "99.00", "EUR", "key", {"key": first}, None) == first


async def test_a_repeated_payment_from_an_earlier_checkpoint_issues_one_refund() -> None:
    store = InMemoryStore()
    graph = desk(store)
    first = await graph.ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    before = [state async for state in graph.aget_state_history(THREAD) if state.next == ("issue",)]
    again = await graph.ainvoke(None, before[0].config)
    assert again["refund"] == first["refund"]
    assert len(await store.asearch(ledger.NAMESPACE)) == 1


async def test_a_second_request_for_a_refunded_order_is_refused() -> None:
    graph = desk()
    await graph.ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    out = await graph.ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    assert out["refund"] is None
    assert "refunded in full already" in out["explanation"]


async def test_the_amount_of_one_request_is_not_used_for_the_next() -> None:
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
def test_the_refund_window_includes_its_last_day(days: int, reason: str, made_to_order: bool, outcome: str) -> None:
    order: Order = {
        **{"order_id": "X-1", "item": "A lamp", "total": "30.00"},
        "delivered_days_ago": days,
        "made_to_order": made_to_order,
    }
    assert rules.apply_policy(order, reason, None).outcome == outcome


@pytest.mark.parametrize(("amount", "outcome"), [("200.00", "approve"), ("200.01", "review"), ("250.00", "review")])
def test_only_amounts_above_the_limit_need_approval(amount: str, outcome: str) -> None:
    order: Order = {"order_id": "X-1", "item": "A lamp", "total": "250.00", "delivered_days_ago": 1}
    verdict = rules.apply_policy(order, "Too bright", Decimal(amount))
    assert (verdict.outcome, verdict.amount) == (outcome, Decimal(amount))


async def test_a_refund_of_one_order_does_not_reduce_another_order() -> None:
    store = InMemoryStore()
    first = await desk(store).ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    assert first["refund"]["amount"] == "49.90"
    out = await desk(store).ainvoke(LARGE, THREAD)
    assert out["__interrupt__"][0].value["action_requests"][0]["args"]["amount"] == "389.00"


async def test_another_thread_finds_the_refund_in_the_store() -> None:
    store = InMemoryStore()
    await desk(store).ainvoke({"order_id": "A-1001", "reason": "Too small"}, THREAD)
    other: RunnableConfig = {"configurable": {"thread_id": "case-2"}}
    out = await desk(store).ainvoke({"order_id": "A-1001", "reason": "Too small"}, other)
    assert out["refund"] is None


async def test_an_order_of_the_input_replaces_a_built_in_order() -> None:
    orders = [{"order_id": "a-1002", "item": "A lamp", "total": "30.00", "delivered_days_ago": 1}]
    out = await desk().ainvoke(LARGE | {"orders": orders}, THREAD)
    assert (out["decision"], out["refund"]["amount"]) == ("approved", "30.00")


async def test_the_context_sets_the_approval_limit() -> None:
    orders = [{"order_id": "X-1", "item": "A lamp", "total": 30, "delivered_days_ago": 1}]
    graph_input = {"order_id": "X-1", "reason": "Too bright", "orders": orders}
    out = await desk().ainvoke(graph_input, THREAD, context={"review_above": 20})
    assert out["__interrupt__"][0].value["action_requests"][0]["args"]["amount"] == "30.00"


@pytest.mark.parametrize(
    ("graph_input", "field"),
    [
        ({"order_id": "", "reason": "x"}, "order_id"),
        ({"order_id": "A-1001", "reason": " "}, "reason"),
        ({"order_id": "A-1001", "reason": "x", "amount": -1}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "amount": "nan"}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "amount": 1.005}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "orders": [{}]}, r"orders\[0\]\.order_id"),
    ],
)
async def test_the_error_of_invalid_input_names_the_field(graph_input: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        await desk().ainvoke(graph_input, THREAD)


@pytest.mark.parametrize(
    "edit", [{"amount": 5}, {"args": {"amount": 5}}, {"edited_action": {"args": {"amount": "5.00"}}}]
)
def test_the_amount_of_an_edit_is_accepted_in_three_forms(edit: dict[str, Any]) -> None:
    answer = review.parse_answer({"type": "edit", "message": "half", **edit}, Decimal("9.00"))
    assert (answer.decision, answer.amount, answer.message) == ("approve", Decimal("5.00"), "half")


def test_an_edit_above_the_remaining_amount_is_rejected() -> None:
    assert review.parse_answer({"type": "edit", "amount": 5}, Decimal("5.00")).amount == Decimal("5.00")
    with pytest.raises(review.InvalidAnswer, match="at most"):
        review.parse_answer({"type": "edit", "amount": "5.01"}, Decimal("5.00"))
