"""The graph of the refund desk."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NotRequired

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import Field
from typing_extensions import TypedDict

import slipway.tools
from examples.refund_desk import orders, rules
from examples.refund_desk.ledger import AmountTooLarge, Entry, Refund, refunded_amount
from examples.refund_desk.orders import Order, format_amount, parse_amount
from examples.refund_desk.tools import needs_approval
from slipway.errors import ToolRejected

Decision = Literal[
    "in progress", "approved", "approved by a person", "rejected by a person", "refused", "unknown order"
]


class Input(TypedDict):
    """A customer's request for a refund."""

    order_id: Annotated[str, Field(description="The order, such as A-1001", examples=["A-1002"])]
    reason: Annotated[
        str, Field(description="Why the customer wants the money back", examples=["It does not fit my bench"])
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

    amount: str
    limit: str
    """What may be refunded for the order in all, with the refunds in the ledger."""
    why: str
    outcome: rules.Outcome | Literal["unknown"]
    note: str
    """The message of the person who rejected the refund."""


_DECISIONS: Final[dict[rules.Outcome, Decision]] = {"approve": "in progress", "refuse": "refused"}


class State(Input, Output):
    """Input, output and intermediate results."""

    order: Order | None
    case: Case


async def find_order(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    """Finds the order, and adds the refunds in the ledger to its refunded amount."""
    order_id, reason = state.get("order_id"), state.get("reason")
    if not isinstance(order_id, str) or not order_id.strip():
        raise ValueError("order_id: the id of an order is required, such as A-1001")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError("reason: a few words are required, such as 'It arrived broken'")
    order = orders.find(order_id, state.get("orders"))
    case: Case = {"amount": "0.00", "limit": "0.00", "why": "", "outcome": "unknown", "note": ""}
    if order is not None:
        case["limit"] = format_amount(Decimal(order["total"]) - Decimal(order.get("refunded", "0.00")))
        refunded = await refunded_amount(order["order_id"], runtime.store)
        order = {**order, "refunded": format_amount(Decimal(order.get("refunded", "0.00")) + refunded)}
    return {"order": order, "case": case, "refund": None, "decision": "refused", "explanation": ""}


async def decide(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    """Applies the policy."""
    order = state["order"]
    if order is None:
        return {"case": {**state["case"], "why": "no order has this number"}, "decision": "unknown order"}
    requested = state.get("amount")
    verdict = rules.apply_policy(
        order, state["reason"], None if requested is None else parse_amount(requested, "amount")
    )
    case = {**state["case"], "amount": format_amount(verdict.amount), "why": verdict.why, "outcome": verdict.outcome}
    runtime.stream_writer({"stage": "decide", "outcome": verdict.outcome, "why": verdict.why})
    return {"case": case, "decision": _DECISIONS[verdict.outcome]}


def after_decide(state: State) -> str:
    """The next node: payment, or explanation."""
    return "issue_refund" if state["case"]["outcome"] == "approve" else "explain"


async def pay(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    """Pays the refund with the tool, whose call waits until a person has approved it if the amount is large."""
    case, order = state["case"], state["order"]
    assert order is not None
    currency = order.get("currency", "EUR")
    try:
        entry: Entry = await slipway.tools.call(
            "issue_refund",
            order_id=order["order_id"],
            item=order["item"],
            amount=case["amount"],
            currency=currency,
            reason=state["reason"],
            at_most=case["limit"],
        )
    except ToolRejected as rejected:
        return {"case": {**case, "note": rejected.reason}, "decision": "rejected by a person"}
    except AmountTooLarge as error:
        return {"case": {**case, "why": str(error)}, "decision": "refused"}
    runtime.stream_writer({"stage": "issue", "refund": entry["id"], "amount": entry["amount"]})
    refund: Refund = {"id": entry["id"], "amount": entry["amount"], "currency": entry["currency"]}
    return {"refund": refund, "decision": "approved by a person" if needs_approval(refund) else "approved"}


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


def build() -> CompiledStateGraph[State, None, Input, Output]:
    """The compiled graph. The server adds its checkpointer."""
    builder = StateGraph(State, input_schema=Input, output_schema=Output)
    builder.add_node("find_order", find_order)
    builder.add_node("decide", decide)
    builder.add_node("issue_refund", pay)
    builder.add_node("explain", explain)
    builder.add_edge(START, "find_order")
    builder.add_edge("find_order", "decide")
    builder.add_conditional_edges("decide", after_decide, ["issue_refund", "explain"])
    builder.add_edge("issue_refund", "explain")
    builder.add_edge("explain", END)
    return builder.compile(name="refund_desk")


graph = build()
