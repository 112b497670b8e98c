"""Spans: what took how long in a run, and what it belongs to.

A span is recorded by whoever does the work. It is stored with the run, and exported when the run is sampled: the names
under which other programs know it are declared in `telemetry.table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Attribute = str | int | float | bool
"""The value of an attribute."""


class SpanKind(StrEnum):
    """What a span measures."""

    REQUEST = "request"
    """A request of a client that created the run."""
    RUN = "run"
    """A run, from its creation to its end: the root of its spans."""
    QUEUE = "queue"
    """The run was due, and no worker had claimed it."""
    ATTEMPT = "attempt"
    """One try at the run by one worker."""
    SUPERSTEP = "superstep"
    """A step of a graph, or of a subgraph, in which nodes execute in parallel."""
    NODE = "node"
    """The execution of a node, or of a function with `@task`, with its retries."""
    MODEL = "model"
    """A call of a model."""
    TOOL = "tool"
    """A call of a tool."""
    APPROVAL = "approval"
    """People were asked, and had not answered."""
    WEBHOOK = "webhook"
    """A try to send a webhook."""


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace. Times are in microseconds since 1970."""

    span_id: str
    """16 hexadecimal digits."""
    parent_id: str
    """The span that it is a part of. Empty: no span of Slipway."""
    kind: SpanKind
    name: str
    """For people: a node, a tool, a model, a route."""
    started_us: int
    ended_us: int | None
    """None: it has not ended, or the process that executed it was killed."""
    error: str = ""
    """A stable code of Slipway, or the class of an exception. Empty if it succeeded."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    """By the names that `telemetry.table` declares."""
