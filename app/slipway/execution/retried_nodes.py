"""A node that LangGraph retries finds the subgraphs and tasks (`@task`) that it has called before.

A retry executes the node from its first line. LangGraph numbers the subgraphs and tasks that a node calls, and stores
what they did under these numbers. It starts to count interrupts again in a retry, but goes on counting subgraphs and
tasks: their second calls would be new ones, and a tool that writes would act a second time, as another call.
"""

from __future__ import annotations

from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import _retry

from slipway.runs.current_attempt import CURRENT_ATTEMPT
from slipway.tool_gateway.node_executions import node_is_retried

_RESET: Final[Any] = _retry._reset_interrupt_counter
_SCRATCHPAD: Final = "__pregel_scratchpad"


def count_again_in_retries() -> None:
    """From now on, a retry of a node counts the subgraphs and tasks that it calls from the first again. A repeated call
    does nothing."""
    setattr(_retry, "_reset_interrupt_counter", _reset)  # noqa: B010  mypy knows no replaced function


def _reset(config: RunnableConfig) -> RunnableConfig:
    """LangGraph calls this between two attempts at a node."""
    node_is_retried()
    attempt = CURRENT_ATTEMPT.get()
    if attempt is not None:
        attempt.node_retried()
    scratchpad: Any = config["configurable"].get(_SCRATCHPAD)
    if scratchpad is not None:
        for counter in (scratchpad.subgraph_counter, scratchpad.call_counter):
            counter._counter = None  # it belongs to the task, whose config the retry does not replace
    found: RunnableConfig = _RESET(config)
    return found
