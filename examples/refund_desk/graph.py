"""The refund desk, put together."""

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
from examples.refund_desk.ledger import Entry, Refund, issue, paid
from examples.refund_desk.orders import Order, money, written

Decision = Literal[
    "waiting for a person", "approved", "approved by a person", "rejected by a person", "refused", "unknown order"
]


class Input(TypedDict):
    """A customer's wish."""

    order_id: Annotated[str, Field(description="The order, such as A-1001", examples=["A-1002"])]
    reason: Annotated[
        str, Field(description="Why the customer wants the money back", examples=["It does not fit my bench"])
    ]
    amount: NotRequired[
        Annotated[float | str | None, Field(description="How much; all that is left of the order when not given")]
    ]
    orders: NotRequired[
        Annotated[list[Order] | None, Field(description="Orders to look in before the built-in order book")]
    ]


class Output(TypedDict):
    """What came of it."""

    decision: Decision
    refund: Refund | None
    explanation: str


class Case(TypedDict):
    """What is known of the wish while it is worked on."""

    key: str
    """Idempotency key: one refund a request on a thread, however often a step is done again."""
    amount: str
    why: str
    outcome: rules.Outcome | Literal["unknown"]
    problem: str
    """Why the person's last answer was not taken."""
    note: str
    """What the person added."""


_STANDING: Final[dict[rules.Outcome, Decision]] = {
    "approve": "approved",
    "review": "waiting for a person",
    "refuse": "refused",
}


def added(old: dict[str, Entry] | None, new: dict[str, Entry]) -> dict[str, Entry]:
    """The ledger with new lines; a line that is there stays as it is."""
    return {**new, **(old or {})}


class State(Input, Output):
    """All of it."""

    order: Order | None
    case: Case
    requests: int
    """How many wishes this thread has had."""
    ledger: Annotated[dict[str, Entry], added]


class Context(TypedDict, total=False):
    """Settings of a run."""

    review_above: float
    """Refunds above this, in the order's currency, are confirmed by a person; 200 when not set."""


async def find_order(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """The order that is meant, less what this desk has paid back already."""
    order_id, reason = state.get("order_id"), state.get("reason")
    if not isinstance(order_id, str) or not order_id.strip():
        raise ValueError("order_id: the id of an order is needed, such as A-1001")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("reason: a few words are needed, such as 'It arrived broken'")
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
        gone = await paid(order["order_id"], state.get("ledger", {}), runtime.store)
        order = {**order, "refunded": written(Decimal(order.get("refunded", "0.00")) + gone)}
    return {"order": order, "case": case, "requests": number, "refund": None, "decision": "refused", "explanation": ""}


async def decide(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """What the policy says."""
    order = state["order"]
    if order is None:
        return {"case": {**state["case"], "why": "no order has this number"}, "decision": "unknown order"}
    wanted = state.get("amount")
    limit = money(
        (runtime.context or {}).get("review_above", rules.REVIEW_ABOVE), "context.review_above", least=Decimal(0)
    )
    verdict = rules.judge(order, state["reason"], None if wanted is None else money(wanted, "amount"), limit)
    case = {**state["case"], "amount": written(verdict.amount), "why": verdict.why, "outcome": verdict.outcome}
    runtime.stream_writer({"stage": "decide", "outcome": verdict.outcome, "why": verdict.why})
    return {"case": case, "decision": _STANDING[verdict.outcome]}


def after_decide(state: State) -> str:
    """To a person, to the till, or to the explanation."""
    return {"review": "review", "approve": "issue"}.get(state["case"]["outcome"], "explain")


async def ask(state: State) -> dict[str, Any]:
    """Ask a person; an answer that makes no sense is kept as a problem, and they are asked again."""
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
        answer = review.understood(value, Decimal(order["total"]) - Decimal(order.get("refunded", "0.00")))
    except review.Garbled as garbled:
        return {"case": {**case, "problem": str(garbled)}}
    amount = case["amount"] if answer.amount is None else written(answer.amount)
    return {
        "case": {**case, "amount": amount, "problem": "", "note": answer.message},
        "decision": "approved by a person" if answer.decision == "approve" else "rejected by a person",
    }


def after_review(state: State) -> str:
    """Ask again, pay, or explain."""
    if state["case"]["problem"]:
        return "review"
    return "issue" if state["decision"] == "approved by a person" else "explain"


async def pay(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """The write: once for a key, however often this step runs."""
    case, order = state["case"], state["order"]
    assert order is not None
    ledger = state.get("ledger", {})
    entry = await issue(
        order["order_id"], case["amount"], order.get("currency", "EUR"), case["key"], ledger, runtime.store
    )
    runtime.stream_writer({"stage": "issue", "refund": entry["id"], "amount": entry["amount"]})
    refund: Refund = {"id": entry["id"], "amount": entry["amount"], "currency": entry["currency"]}
    return {"refund": refund, "ledger": {entry["key"]: entry}}


async def explain(state: State) -> dict[str, Any]:
    """The sentence for the customer; the amount is forgotten, so that the thread's next wish starts without one."""
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
        return f"The refund for {about} was looked at by a person and rejected.{note}"
    return f"No refund for {about}: {case['why']}."


def build() -> CompiledStateGraph[State, Context, Input, Output]:
    """The compiled graph, without a checkpointer, which the server or the caller adds."""
    builder = StateGraph(State, context_schema=Context, input_schema=Input, output_schema=Output)
    builder.add_node("find_order", find_order)
    builder.add_node("decide", decide)
    builder.add_node("review", ask)
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
