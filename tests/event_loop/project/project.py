"""A graph and a host app that block the event loop until `release` is set."""

from __future__ import annotations

import threading
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

release = threading.Event()
DEADLINE_S = 20


class State(TypedDict, total=False):
    """`block_in` is the name of the function that blocks."""

    block_in: str


def wait_for_release() -> None:
    assert release.wait(DEADLINE_S)


async def look_up(state: State) -> dict[str, Any]:
    if state["block_in"] == "look_up":
        wait_for_release()
    return {}


async def choose(state: State) -> str:
    if state["block_in"] == "choose":
        wait_for_release()
    return END


graph = (
    StateGraph(State)
    .add_node("look_up", look_up)
    .add_edge(START, "look_up")
    .add_conditional_edges("look_up", choose)
    .compile()
)


async def report(request: Request) -> PlainTextResponse:
    wait_for_release()
    return PlainTextResponse("done")


app = Starlette(routes=[Route("/report", report)])
