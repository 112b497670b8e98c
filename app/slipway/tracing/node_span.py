"""The span of a node while its code executes."""

from __future__ import annotations

import time
from typing import Final

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import PregelExecutableTask

from slipway.exception_text import is_a
from slipway.tracing.attempt_trace import OpenSpan
from slipway.tracing.content import content_of
from slipway.tracing.span_error import error_of

_OF_LANGGRAPH: Final = ("__", "branch:")
"""Channels that are no part of the state."""


def node_started(around: OpenSpan, task: PregelExecutableTask) -> OpenSpan:
    """The span of a task whose code starts; `around` is the current span."""
    trace = around.trace
    span = trace.announced.pop(task.id, None)
    if span is None:
        span = trace.node_started(around, task.name, step=_superstep_of(task), namespace=_namespace_of(task))
    else:
        span.started = time.monotonic()
    if trace.records_content:
        span.add_content("input", content_of(task.input))
    return span


def node_ended(span: OpenSpan, task: PregelExecutableTask, error: BaseException | None) -> None:
    """`error` is what ended the node. A node that asks people has not failed, and neither has one that sends a
    command to the graph around its own."""
    trace = span.trace
    if trace.records_content:
        written = [(name, value) for name, value in task.writes if not name.startswith(_OF_LANGGRAPH)]
        if written or error is None:  # a node that raised or asked has no output
            span.add_content("output", content_of(written))
    if error is None:
        trace.node_ended(span)
    elif is_a(error, GraphBubbleUp):
        if is_a(error, GraphInterrupt):
            span.attributes["interrupted"] = True
        trace.node_ended(span)
    else:
        trace.node_ended(span, error_of(error))


def _superstep_of(task: PregelExecutableTask) -> int | None:
    """None for a task that a node has called (`@task`), which LangGraph marks with True at the end of its path."""
    if task.path and task.path[-1] is True:
        return None
    step = task.config.get("metadata", {}).get("langgraph_step")
    return step if isinstance(step, int) else 0


def _namespace_of(task: PregelExecutableTask) -> str:
    return str(task.config["configurable"].get("checkpoint_ns", ""))
