"""The header `traceparent`: what is a context, and what starts a new trace."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.telemetry.id_source import IDS
from slipway.telemetry.trace_context import TraceContext, new_span_id, new_trace_id, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be", True),
    ],
)
def test_contexts(value: str, sampled: bool) -> None:
    assert parse_traceparent(value) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 10_000,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
    ],
)
def test_what_starts_a_new_trace(value: str) -> None:
    assert parse_traceparent(value) is None


@given(st.text())
def test_any_text(value: str) -> None:
    parse_traceparent(value)


@given(st.booleans())
def test_new_ids_are_read_back(sampled: bool) -> None:
    context = TraceContext(new_trace_id(), new_span_id(), sampled)
    assert parse_traceparent(context.traceparent) == context


def test_ids_do_not_depend_on_the_seed_of_the_project() -> None:
    made = []
    for _ in range(2):
        random.seed(7)
        made += [new_trace_id(), new_span_id(), f"{IDS.getrandbits(64):x}"]
    random.seed()
    assert len(set(made)) == 6


def test_a_forked_process_makes_other_ids() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_trace_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() != new_trace_id()
