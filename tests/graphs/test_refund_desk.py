"""The refund desk: policy, approval by a person, and exactly one refund after retries."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from examples.refund_desk import ledger, rules
from examples.refund_desk.orders import Order
from examples.refund_desk.tools import needs_approval
from tests.graphs.conftest import Cases

SMALL = {"order_id": "a-1001 ", "reason": "Too small"}
LARGE = {"order_id": "A-1002", "reason": "It does not fit my bench"}


async def test_a_small_refund_is_paid_without_approval(cases: Cases) -> None:
    out = await cases.wait("refund_desk", SMALL)
    assert out["decision"] == "approved"
    assert (out["refund"]["amount"], out["refund"]["currency"]) == ("49.90", "EUR")
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
async def test_a_refused_refund_has_a_reason(cases: Cases, graph_input: dict[str, Any], words: str) -> None:
    out = await cases.wait("refund_desk", graph_input)
    assert out["refund"] is None
    assert words in out["explanation"]


async def test_a_large_refund_waits_for_a_person(cases: Cases) -> None:
    thread = await cases.new()
    out = await cases.wait("refund_desk", LARGE, thread)
    assert out["__interrupt__"][0]["value"]["args"]["amount"] == "389.00"
    (review,) = await cases.reviews(thread)
    assert (review["graph_id"], review["node"]) == ("refund_desk", "issue_refund")
    assert (await cases.decide(review, kind="approve")).status_code == 200
    values = await cases.values(thread)
    assert (values["decision"], values["refund"]["amount"]) == ("approved by a person", "389.00")


async def test_a_rejection_pays_nothing(cases: Cases) -> None:
    thread = await cases.new()
    await cases.wait("refund_desk", LARGE, thread)
    (review,) = await cases.reviews(thread)
    await cases.decide(review, kind="reject", message="No receipt")
    values = await cases.values(thread)
    assert (values["decision"], values["refund"]) == ("rejected by a person", None)
    assert "They wrote: No receipt" in values["explanation"]
    assert await cases.services.store.asearch(ledger.NAMESPACE) == []


async def test_an_edited_amount_is_paid(cases: Cases) -> None:
    thread = await cases.new()
    await cases.wait("refund_desk", LARGE, thread)
    (review,) = await cases.reviews(thread)
    args = review["question"]["actions"][0]["args"]
    wrong = await cases.decide(review, kind="edit", args=args | {"amount": "a lot"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "args.amount")
    assert (await cases.decide(review, kind="edit", args=args | {"amount": "300.00"})).status_code == 200
    assert (await cases.values(thread))["refund"]["amount"] == "300.00"


async def test_an_edit_above_the_remaining_amount_pays_nothing(cases: Cases) -> None:
    thread = await cases.new()
    await cases.wait("refund_desk", LARGE, thread)
    (review,) = await cases.reviews(thread)
    await cases.decide(review, kind="edit", args=review["question"]["actions"][0]["args"] | {"amount": "389.01"})
    values = await cases.values(thread)
    assert (values["decision"], values["refund"]) == ("refused", None)
    assert "at most 389.00 EUR" in values["explanation"]


async def test_two_requests_for_an_order_that_wait_at_once_pay_it_once(cases: Cases) -> None:
    threads = [await cases.new(), await cases.new()]
    reviews = []
    for thread in threads:
        await cases.wait("refund_desk", LARGE, thread)
        reviews += await cases.reviews(thread)
    decisions = []
    for thread, review in zip(threads, reviews, strict=True):
        await cases.decide(review, kind="approve")
        decisions.append((await cases.values(thread))["decision"])
    assert decisions == ["approved by a person", "refused"]
    assert len(await cases.services.store.asearch(ledger.NAMESPACE)) == 1


async def test_an_answer_by_the_protocol_is_accepted(cases: Cases) -> None:
    thread = await cases.new()
    await cases.wait("refund_desk", LARGE, thread)
    body = {"assistant_id": "refund_desk", "command": {"resume": {"type": "approve"}}}
    out = (await cases.client.post(f"/threads/{thread}/runs/wait", json=body)).json()
    assert out["refund"]["amount"] == "389.00"


async def test_a_repeated_idempotency_key_issues_one_refund(cases: Cases) -> None:
    store, limit = cases.services.store, Decimal("10.00")
    first = await ledger.add_refund("A-1", "10.00", "EUR", "key", store, at_most=limit)
    again = await ledger.add_refund("A-1", "99.00", "EUR", "key", store, at_most=limit)
    assert first == again
    assert await ledger.refunded_amount("A-1", store) == limit
    assert await ledger.refunded_amount("A-2", store) == 0, "of another order"


async def test_refunds_of_an_order_at_the_same_moment_are_not_more_than_the_order(cases: Cases) -> None:
    store = cases.services.store
    at_once = [
        ledger.add_refund("A-1", "20.00", "EUR", f"key {number}", store, at_most=Decimal("50.00"))
        for number in range(8)
    ]
    paid = await asyncio.gather(*at_once, return_exceptions=True)
    assert sum(isinstance(each, ledger.AmountTooLarge) for each in paid) == 6
    assert await ledger.refunded_amount("A-1", store) == Decimal("40.00")


async def test_a_second_request_for_a_refunded_order_is_refused(cases: Cases) -> None:
    thread = await cases.new()
    first = await cases.wait("refund_desk", SMALL | {"amount": 10}, thread)
    second = await cases.wait("refund_desk", {"order_id": "A-1001", "reason": "It is broken"}, thread)
    assert (first["refund"]["amount"], second["refund"]["amount"]) == ("10.00", "39.90")
    third = await cases.wait("refund_desk", SMALL)
    assert third["refund"] is None
    assert "refunded in full already" in third["explanation"]


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


@pytest.mark.parametrize(("amount", "needs"), [("200.00", False), ("200.01", True), ("250.00", True)])
def test_only_amounts_above_the_limit_need_approval(amount: str, needs: bool) -> None:
    order: Order = {"order_id": "X-1", "item": "A lamp", "total": "250.00", "delivered_days_ago": 1}
    verdict = rules.apply_policy(order, "Too bright", Decimal(amount))
    assert (verdict.outcome, verdict.amount) == ("approve", Decimal(amount))
    assert needs_approval({"amount": amount}) is needs


async def test_an_order_of_the_input_replaces_a_built_in_order(cases: Cases) -> None:
    orders = [{"order_id": "a-1002", "item": "A lamp", "total": "30.00", "delivered_days_ago": 1}]
    out = await cases.wait("refund_desk", LARGE | {"orders": orders})
    assert (out["decision"], out["refund"]["amount"]) == ("approved", "30.00")


@pytest.mark.parametrize(
    ("graph_input", "field"),
    [
        ({"order_id": "", "reason": "x"}, "order_id"),
        ({"order_id": "A-1001", "reason": " "}, "reason"),
        ({"order_id": "A-1001", "reason": "x", "amount": -1}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "amount": "nan"}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "amount": 1.005}, "amount"),
        ({"order_id": "A-1001", "reason": "x", "orders": [{}]}, "orders[0].order_id"),
    ],
)
async def test_the_error_of_invalid_input_names_the_field(
    cases: Cases, graph_input: dict[str, Any], field: str
) -> None:
    out = await cases.wait("refund_desk", graph_input)
    assert out["__error__"]["message"].startswith(f"{field}:")
