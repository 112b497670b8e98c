"""The graph of the refund desk."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NotRequired

from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import Field
from typing_extensions import TypedDict

from examples.refund_desk import orders, review, rules
from examples.refund_desk.ledger import Entry, Refund, issue_refund, refunded_amount
from examples.refund_desk.orders import Order, format_amount, parse_amount

Decision = Literal[
    "waiting for a person", "approved", "approved by a person", "rejected by a person", "refused", "unknown order"
]


class Input(TypedDict):
    """A customer's request for a refund."""

    order_id: Annotated[str, Field(description="The order, such as A-1001", examples=["A-1002"])]
    reason: Annotated[
        str, Field(description="Why the customer wants the parse_amount back", examples=["It does not fit my bench"])
    ]
    amount: NotRequired[
        Annotated[
            float | str | None, Field(description="The amount; the whole remaining amount of the order when empty")
        ]
    ]
    orders: NotRequired[
        Annotated[list[Order] | None, Field(description="Orders that are searched before the built-in order book")]
    ]


class Output(TypedDict):
    """The decision, the refund and the explanation."""

    decision: Decision
    refund: Refund | None
    explanation: str


class Case(TypedDict):
    """The intermediate results for one request."""

    key: str
    """Idempotency key: each request on a thread pays at most one refund, also when a node is executed again."""
    amount: str
    why: str
    outcome: rules.Outcome | Literal["unknown"]
    problem: str
    """Why the last answer of the person was rejected; empty if it was valid."""
    note: str
    """The message of the person."""


_DECISIONS: Final[dict[rules.Outcome, Decision]] = {
    "approve": "approved",
    "review": "waiting for a person",
    "refuse": "refused",
}


def merge_ledger(old: dict[str, Entry] | None, new: dict[str, Entry]) -> dict[str, Entry]:
    """The ledger with new lines. Existing lines do not change."""
    return {**new, **(old or {})}


class State(Input, Output):
    """Input, output and intermediate results."""

    order: Order | None
    case: Case
    requests: int
    """Number of requests on this thread."""
    ledger: Annotated[dict[str, Entry], merge_ledger]


class Context(TypedDict, total=False):
    """Settings of a run."""

    review_above: float
    """A person must approve refunds above this amount, in the currency of the order; 200 by default."""


async def find_order(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Finds the order, and adds the refunds in the ledger to its refunded amount."""
    order_id, reason = state.get("order_id"), state.get("reason")
    if not isinstance(order_id, str) or not order_id.strip():
        raise ValueError("order_id: the id of an order is required, such as A-1001")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("reason: a few words are required, such as 'It arrived broken'")
    number = state.get("requests", 0) + 1
    order = orders.find(order_id, state.get("orders"))
    thread_id = get_config().get("configurable", {}).get("thread_id") or uuid.uuid4()
    case: Case = {
        "key": f"{thread_id}/{order_id.strip().casefold()}/{number}",
        "amount": "0.00",
        "why": "",
        "outcome": "unknown",
        "problem": "",
        "note": "",
    }
    if order is not None:
        refunded = await refunded_amount(order["order_id"], state.get("ledger", {}), runtime.store)
        order = {**order, "refunded": format_amount(Decimal(order.get("refunded", "0.00")) + refunded)}
    return {"order": order, "case": case, "requests": number, "refund": None, "decision": "refused", "explanation": ""}


async def decide(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Applies the policy."""
    order = state["order"]
    if order is None:
        return {"case": {**state["case"], "why": "no order has this number"}, "decision": "unknown order"}
    requested = state.get("amount")
    limit = parse_amount(
        (runtime.context or {}).get("review_above", rules.REVIEW_ABOVE), "context.review_above", least=Decimal(0)
    )
    verdict = rules.apply_policy(
        order, state["reason"], None if requested is None else parse_amount(requested, "amount"), limit
    )
    case = {**state["case"], "amount": format_amount(verdict.amount), "why": verdict.why, "outcome": verdict.outcome}
    runtime.stream_writer({"stage": "decide", "outcome": verdict.outcome, "why": verdict.why})
    return {"case": case, "decision": _DECISIONS[verdict.outcome]}


def after_decide(state: State) -> str:
    """The next node: review by a person, payment, or explanation."""
    return {"review": "review", "approve": "issue"}.get(state["case"]["outcome"], "explain")


async def request_review(state: State) -> dict[str, Any]:
    """Interrupts until a person answers. An invalid answer is stored as a problem, and this node interrupts again."""
    case, order = state["case"], state["order"]
    assert order is not None
    args = {
        "order_id": order["order_id"],
        "item": order["item"],
        "amount": case["amount"],
        "currency": order.get("currency", "EUR"),
        "reason": state["reason"],
    }
    value = interrupt(review.request(args, case["why"], case["problem"]))
    try:
        answer = review.parse_answer(value, Decimal(order["total"]) - Decimal(order.get("refunded", "0.00")))
    except review.InvalidAnswer as error:
        return {"case": {**case, "problem": str(error)}}
    amount = case["amount"] if answer.amount is None else format_amount(answer.amount)
    return {
        "case": {**case, "amount": amount, "problem": "", "note": answer.message},
        "decision": "approved by a person" if answer.decision == "approve" else "rejected by a person",
    }


def after_review(state: State) -> str:
    """The next node: the review again after an invalid answer, payment, or explanation."""
    if state["case"]["problem"]:
        return "review"
    return "issue" if state["decision"] == "approved by a person" else "explain"


async def pay(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Pays the refund: once for each idempotency key, however often this node is executed."""
    case, order = state["case"], state["order"]
    assert order is not None
    ledger = state.get("ledger", {})
    entry = await issue_refund(
        order["order_id"], case["amount"], order.get("currency", "EUR"), case["key"], ledger, runtime.store
    )
    runtime.stream_writer({"stage": "issue", "refund": entry["id"], "amount": entry["amount"]})
    refund: Refund = {"id": entry["id"], "amount": entry["amount"], "currency": entry["currency"]}
    return {"refund": refund, "ledger": {entry["key"]: entry}}


async def explain(state: State) -> dict[str, Any]:
    """Writes the sentence for the customer, and clears the amount, so that it does not apply to the next request."""
    return {"explanation": _explanation(state), "amount": None}


def _explanation(state: State) -> str:
    case, order, refund = state["case"], state["order"], state["refund"]
    note = f" They wrote: {case['note']}" if case["note"] else ""
    if order is None:
        return f"There is no order {state['order_id'].strip()}. Please check the number on the invoice."
    about = f"order {order['order_id']} ({order['item']})"
    if refund is not None:
        by = "a person confirmed it" if state["decision"] == "approved by a person" else case["why"]
        return f"{refund['amount']} {refund['currency']} for {about} is on its way back as {refund['id']}: {by}.{note}"
    if state["decision"] == "rejected by a person":
        return f"The refund for {about} was reviewed and rejected by a person.{note}"
    return f"No refund for {about}: {case['why']}."


def build() -> CompiledStateGraph[State, Context, Input, Output]:
    """The compiled graph. The server adds its checkpointer."""
    builder = StateGraph(State, context_schema=Context, input_schema=Input, output_schema=Output)
    builder.add_node("find_order", find_order)
    builder.add_node("decide", decide)
    builder.add_node("review", request_review)
    builder.add_node("issue", pay)
    builder.add_node("explain", explain)
    builder.add_edge(START, "find_order")
    builder.add_edge("find_order", "decide")
    builder.add_conditional_edges("decide", after_decide, ["review", "issue", "explain"])
    builder.add_conditional_edges("review", after_review, ["review", "issue", "explain"])
    builder.add_edge("issue", "explain")
    builder.add_edge("explain", END)
    return builder.compile(name="refund_desk")


graph = build()
