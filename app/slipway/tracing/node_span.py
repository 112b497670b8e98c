"""The span of a node while its code executes."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import PregelExecutableTask

from slipway.exception_text import is_a
from slipway.tracing.attempt_trace import OpenSpan
from slipway.tracing.content import content_of
from slipway.tracing.current_span import CURRENT_SPAN
from slipway.tracing.span_error import error_of

_OF_LANGGRAPH: Final = ("__", "branch:")
"""Channels that are no part of the state."""


class NodeSpan:
    """Is the current span from when it is made until `end`."""

    __slots__ = ("_span", "_task", "_token")

    def __init__(self, around: OpenSpan, task: PregelExecutableTask) -> None:
        """`around` is the current span."""
        self._span = around.trace.node_started(
            around, task.id, task.name, step=_superstep_of(task), namespace=_namespace_of(task)
        )
        self._token, self._task = CURRENT_SPAN.set(self._span), task
        if self._span.trace.records_content:
            self._span.add_content("input", content_of(task.input))

    def end(self, error: BaseException | None) -> None:
        """`error` is what ended the node. A node that asks people has not failed, and neither has one that sends a
        command to the graph around its own."""
        with suppress(ValueError):  # a task that is abandoned is closed elsewhere, in another context
            CURRENT_SPAN.reset(self._token)
        span = self._span
        if span.trace.records_content:
            written = [(name, value) for name, value in self._task.writes if not name.startswith(_OF_LANGGRAPH)]
            if written or error is None:  # a node that raised or asked has no output
                span.add_content("output", content_of(written))
        if error is None:
            span.trace.node_ended(span)
        elif is_a(error, GraphBubbleUp):
            if is_a(error, GraphInterrupt):
                span.attributes["interrupted"] = True
            span.trace.node_ended(span)
        else:
            span.trace.node_ended(span, error_of(error))


def _superstep_of(task: PregelExecutableTask) -> int | None:
    """None for a task that a node has called (`@task`), which LangGraph marks with True at the end of its path."""
    if task.path and task.path[-1] is True:
        return None
    step = task.config.get("metadata", {}).get("langgraph_step")
    return step if isinstance(step, int) else 0


def _namespace_of(task: PregelExecutableTask) -> str:
    return str(task.config["configurable"].get("checkpoint_ns", ""))
