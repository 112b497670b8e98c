"""The header `traceparent`: what is a context, and what starts a new trace."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.telemetry.id_source import IDS
from slipway.telemetry.trace_context import TraceContext, new_span_id, new_trace_id, parse_traceparent, parse_tracestate

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


@pytest.mark.parametrize(
    ("value", "passed_on"),
    [
        ("ot=th:8", "ot=th:8"),
        ("congo=t61rcWkgMzE, rojo=00f067aa0ba902b7 ", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        ("fw529a3039@dt=FfAAAAAQ,,\t,a=b c", "fw529a3039@dt=FfAAAAAQ,a=b c"),
        (",".join(f"a{number}=1" for number in range(32)), ",".join(f"a{number}=1" for number in range(32))),
    ],
)
def test_states(value: str, passed_on: str) -> None:
    assert parse_tracestate(value) == passed_on


@pytest.mark.parametrize(
    "value",
    [
        *("", ",", "a", "a=", "=b", "A=b", "a=b=c", "a=\u00e9", "a=b\r\nx-header: 1", "a=b,a=c", "a=" + "x" * 257),
        *("a=\x00", "\u0661=1", "a=b, c", ",".join(f"a{number}=1" for number in range(33)), "x" * 100_000),
    ],
)
def test_a_state_that_is_not_valid_counts_as_not_sent(value: str) -> None:
    assert parse_tracestate(value) == ""


def test_a_state_that_is_too_long_loses_large_members_and_then_the_last_ones() -> None:
    small = [f"a{number}={'x' * 96}" for number in range(6)]
    large = "large=" + "x" * 200
    assert parse_tracestate(",".join([large, *small])) == ",".join(small[:5])
    assert parse_tracestate(",".join([large, *small[:2]])) == ",".join([large, *small[:2]])


@given(st.text(max_size=200) | st.lists(st.from_regex(r"[a-z]{1,3}=[ -~]{1,200}", fullmatch=True)).map(",".join))
def test_a_state_is_bounded_and_may_be_passed_on_again(value: str) -> None:
    state = parse_tracestate(value)
    assert len(state) <= 512
    assert parse_tracestate(state) == state
    assert state.isprintable()
