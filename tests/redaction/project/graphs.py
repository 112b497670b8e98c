"""Graphs that put secrets everywhere that a graph can write."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

import structlog
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

import slipway.tools


class State(TypedDict, total=False):
    text: str
    found: Any
    answer: Any


def secrets() -> dict[str, str]:
    """What an author may read by mistake."""
    return {
        "key": os.environ["PROVIDER_API_KEY"],
        "address": os.environ["DATABASE_URL"],
        "quoted": quote(os.environ["PROVIDER_API_KEY"], safe=""),
        "webhooks": Path(os.environ["SLIPWAY_WEBHOOK_SECRET_FILE"]).read_text().strip(),
    }


def leak(state: State) -> State:
    found = secrets() | {"cardNumber": "canary-of-a-named-member", "note": "pay with card-4711-canary now"}
    get_stream_writer()(found)
    structlog.get_logger().warning(
        "graph.leaked",
        **secrets(),
        authorization="canary-of-a-log-field",
        card_number="canary-of-a-named-member",
        bill=found,
    )
    logging.getLogger("project").error("no access with %s", secrets())
    return {"found": found}


def ask(state: State) -> State:
    return {"answer": interrupt({"question": "Send it?", **secrets(), "card_number": "canary-of-a-named-member"})}


def fail(state: State) -> State:
    raise ValueError(
        f"rejected: {secrets()} postgres://app:canary-of-an-address@db.inside/app Bearer canary-of-a-bearer"
    )


@slipway.tools.tool(access="read", secrets=["CHARGE_TOKEN"])
async def charge(amount: int) -> str:
    """Charges."""
    return f"charged {amount} with {slipway.tools.secret('CHARGE_TOKEN')}"


async def call(state: State) -> State:
    return {"found": await charge(3)}


leaks = StateGraph(State).add_node("leak", leak).add_edge(START, "leak").compile()
asks = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
fails = StateGraph(State).add_node("fail", fail).add_edge(START, "fail").compile()
calls = StateGraph(State).add_node("call", call).add_edge(START, "call").compile()
