"""The tree, its time axis, the waterfall and the JSON, of spans as they are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from slipway.run_traces.derived_spans import PauseOfRun, RunTimes, queue_spans
from slipway.run_traces.public_form import public
from slipway.run_traces.record import AssembledTrace, RunOfTrace
from slipway.run_traces.time_axis import axis_of
from slipway.run_traces.tree import UNFINISHED, shortened, tree_of, with_ends
from slipway.run_traces.waterfall import Waterfall, duration_text
from slipway.runs.record import Phase, Run
from slipway.telemetry.span import Span, SpanKind
from tests.run_traces.records import run_of

SECOND: Final = 1_000_000
HOSTILE: Final = "\x1b[31m<script>alert(1)</script>\n\u202e" + "n" * 10_000


def span(span_id: str, parent: str, kind: SpanKind, start_s: float, end_s: float | None, **more: Any) -> Span:
    name = more.pop("name", span_id)
    error = more.pop("error", "")
    ended = None if end_s is None else int(end_s * SECOND)
    return Span(span_id, parent, kind, name, int(start_s * SECOND), ended, error, more)


def trace_of(spans: Sequence[Span], now_s: float = 100) -> AssembledTrace:
    run = RunOfTrace("run", "graph", "completed", "root", 1, 0, None, None, 0, None)
    return AssembledTrace("run", "thread", "t" * 32, [run], tree_of({"run": spans}), int(now_s * SECOND))


USUAL: Final = (
    span("root", "", SpanKind.RUN, 0, 10),
    span("q", "root", SpanKind.QUEUE, 0, 1),
    span("a1", "root", SpanKind.ATTEMPT, 1, 3, name="1", worker="host:1:x", error="worker.died"),
    span("n1", "a1", SpanKind.NODE, 1, 3, name="look"),
    span("a2", "root", SpanKind.ATTEMPT, 4, 10, name="2", worker="host:2:y"),
    span("m", "a2", SpanKind.MODEL, 5, 6, tokens_in=120, tokens_out=30, cost_nano=480_000, retries=2),
)


def text_of(trace: AssembledTrace, width: int = 80, *, unicode: bool = True) -> list[str]:
    return [line.plain for line in Waterfall(trace, width, unicode=unicode).lines()]


def test_spans_become_a_tree_in_the_order_of_their_starts() -> None:
    (root,) = tree_of({"run": USUAL})
    assert [each.span.span_id for _, each in root.walk()] == ["root", "q", "a1", "n1", "a2", "m"]
    assert [depth for depth, _ in root.walk()] == [0, 1, 1, 2, 1, 2]


def test_a_circle_and_an_unknown_parent_lose_no_span() -> None:
    spans = [
        span("a", "b", SpanKind.NODE, 1, 2),
        span("b", "a", SpanKind.NODE, 1, 2),
        span("c", "c", SpanKind.NODE, 1, 2),
        span("d", "gone", SpanKind.NODE, 1, 2),
    ]
    shown = [each.span.span_id for root in tree_of({"run": spans}) for _, each in root.walk()]
    assert sorted(shown) == ["a", "b", "c", "d"]


def test_a_deep_tree_is_shown_without_recursion_errors() -> None:
    spans = [span(str(n), str(n - 1) if n else "", SpanKind.NODE, n, n + 1) for n in range(3000)]
    trace = trace_of(spans)
    assert sum(1 for _ in trace.spans) == 3000
    assert orjson.dumps(public(trace, "tree", operator=True))
    assert len(text_of(trace)) > 1000


def test_a_large_trace_is_cut() -> None:
    spans = [span("root", "", SpanKind.RUN, 0, 10)]
    spans += [span(str(n), "root", SpanKind.NODE, n, n + 1) for n in range(50)]
    roots, cut = shortened(tree_of({"run": spans}), 20)
    assert (sum(1 for root in roots for _ in root.walk()), cut) == (20, 31)


def test_what_a_killed_process_executed_ends_with_its_attempt() -> None:
    spans = [
        span("a1", "root", SpanKind.ATTEMPT, 1, 3, error="worker.died"),
        span("s", "a1", SpanKind.SUPERSTEP, 1, None),
        span("n", "s", SpanKind.NODE, 1, None),
        span("a2", "root", SpanKind.ATTEMPT, 4, 5),
        span("x", "a2", SpanKind.NODE, 4, None),
        span("a3", "root", SpanKind.ATTEMPT, 6, None),
        span("y", "a3", SpanKind.NODE, 6, None),
    ]
    ended = {each.span_id: (each.ended_us, each.error) for each in with_ends(spans)}
    assert ended["n"] == ended["s"] == (3 * SECOND, "worker.died")
    assert ended["x"] == (5 * SECOND, UNFINISHED)
    assert ended["y"] == (None, "")


def test_totals_name_workers_tokens_cost_and_errors_once() -> None:
    totals = trace_of(with_ends(USUAL)).totals
    assert totals.workers == ("host:1:x", "host:2:y")
    assert (totals.tokens_in, totals.tokens_out, totals.cost_nano, totals.retries) == (120, 30, 480_000, 2)
    assert (totals.model_calls, totals.queue_us, totals.errors) == (1, SECOND, 1)


def test_long_waits_are_shortened_and_places_follow_the_order_of_times() -> None:
    week = 7 * 86_400
    trace = trace_of(
        [
            span("root", "", SpanKind.RUN, 0, 2),
            span("a", "root", SpanKind.ATTEMPT, 0, 2),
            span("wait", "root", SpanKind.APPROVAL, 2, week),
            span("b", "root", SpanKind.ATTEMPT, week, week + 1),
        ],
        week + 1,
    )
    axis = axis_of(trace)
    assert axis.shortened
    assert axis.place(0) == 0
    assert 0.3 < axis.place(2 * SECOND) < 0.45
    assert 0.75 < axis.place(week * SECOND) < 0.85
    assert axis.place((week + 1) * SECOND) == 1
    places = [axis.place(number * week * SECOND // 100) for number in range(101)]
    assert places == sorted(places)
    assert abs(axis.time_at(axis.place(86_400 * SECOND)) - 86_400 * SECOND) < SECOND


@pytest.mark.parametrize("spans", [(), (span("x", "", SpanKind.RUN, 5, 5),), (span("x", "", SpanKind.QUEUE, 5, None),)])
def test_a_trace_without_extent_has_an_axis(spans: Sequence[Span]) -> None:
    trace = trace_of(spans, now_s=5)
    assert axis_of(trace).place(5 * SECOND) in (0.0, 1.0)
    assert text_of(trace)
    assert public(trace, "spans", operator=True)["duration_s"] == 0


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_the_waterfall_fits_the_terminal(width: int, unicode: bool) -> None:
    lines = text_of(trace_of(with_ends(USUAL)), width, unicode=unicode)
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert "A = worker host:1:x" in text
    failed = "✗" if unicode else "x"
    assert any(line.lstrip().startswith("attempt 1") and f"on A {failed} w" in line for line in lines)
    bar = "\n".join(line for line in lines if line.lstrip().startswith(("attempt", "queue", "node", "model", "run r")))
    assert unicode or bar.isascii()


def test_hostile_names_are_bounded_and_cannot_command_a_terminal() -> None:
    spans = [
        span("root", "", SpanKind.RUN, 0, 10, name=HOSTILE),
        span("n", "root", SpanKind.NODE, 0, 10, name=HOSTILE, error=HOSTILE, worker=HOSTILE, decided_by=HOSTILE),
        span("w", "root", SpanKind.NODE, 0, 10, name="日本語" * 30),
    ]
    trace = trace_of(spans)
    for line in text_of(trace):
        assert line.isprintable()
        assert len(line) <= 80
    body = json.dumps(public(trace, "spans", operator=True))
    assert len(body) < 40_000


def test_others_than_operators_see_no_machines() -> None:
    trace = trace_of(with_ends(USUAL))
    shown = json.dumps(public(trace, "spans", operator=False))
    assert "host:" not in shown
    assert '"worker": "worker 2"' in shown
    assert json.loads(shown)["totals"]["workers"] == 2


def test_recorded_content_is_shown_only_on_demand() -> None:
    trace = trace_of([span("n", "", SpanKind.NODE, 0, 1, input='{"text": "hi"}', output='{"cut')])
    shown = public(trace, "spans", operator=True)["spans"][0]
    assert (shown["attributes"], "content" in shown) == ({}, False)
    asked = replace(trace, contents={"n": {}})
    assert public(asked, "spans", operator=True)["spans"][0]["content"] == {"input": {"text": "hi"}, "output": '{"cut'}
    assert "input: {" in "\n".join(text_of(asked))


def test_waits_in_the_queue_are_what_lies_between_attempts_and_pauses() -> None:
    run: Run = run_of(attempt=2)
    attempts = [
        span("a1", "root", SpanKind.ATTEMPT, 1, 3, name="1"),
        span("a2", "root", SpanKind.ATTEMPT, 9, 10, name="2"),
    ]
    pauses = [PauseOfRun(4 * SECOND, 7 * SECOND, "eve")]
    spans = queue_spans(run, "root", RunTimes(0, 10 * SECOND, None), attempts, pauses, 20 * SECOND)
    found = [(each.name, each.started_us // SECOND, (each.ended_us or 0) // SECOND) for each in spans]
    assert found == [("queue", 0, 1), ("queue", 3, 4), ("paused", 4, 7), ("queue", 7, 9)]
    assert [each.attributes.get("number") for each in spans] == [1, 2, None, 2]


def waits_of(run: Run, times: RunTimes, attempts: Sequence[Span] = ()) -> list[tuple[int, int | None]]:
    spans = queue_spans(run, "root", times, attempts, [], 20 * SECOND)
    return [(each.started_us // SECOND, each.ended_us and each.ended_us // SECOND) for each in spans]


def test_the_first_wait_ends_with_the_claim_and_not_with_the_span_of_the_attempt() -> None:
    attempts = [span("a1", "root", SpanKind.ATTEMPT, 3, 4, name="1")]
    assert waits_of(run_of(attempt=1), RunTimes(SECOND, 3 * SECOND, None, 2 * SECOND), attempts) == [(1, 2)]


def test_records_tell_the_first_wait_and_the_one_that_lasts_if_nothing_was_traced() -> None:
    times = RunTimes(SECOND, 9 * SECOND, None, 2 * SECOND)
    assert waits_of(run_of(attempt=2), times) == [(1, 2)]
    assert waits_of(run_of(attempt=2, phase=Phase.QUEUED), times) == [(1, 2), (9, None)]


def test_a_run_that_is_cancelled_while_it_is_queued_has_waited_until_then() -> None:
    attempts = [span("a1", "root", SpanKind.ATTEMPT, 2, 4, name="1")]
    run = run_of(attempt=1, phase=Phase.CANCELLED)
    assert waits_of(run, RunTimes(SECOND, 9 * SECOND, None, 2 * SECOND), attempts) == [(1, 2), (4, 9)]
    assert waits_of(run, RunTimes(SECOND, 9 * SECOND, 4 * SECOND, 2 * SECOND), attempts) == [(1, 2)]


def test_one_failure_counts_once_and_failures_of_two_runs_are_two() -> None:
    failed = [
        span("root", "", SpanKind.RUN, 0, 10, error="node.failed"),
        span("a1", "root", SpanKind.ATTEMPT, 1, 3, error="worker.died"),
        span("n1", "a1", SpanKind.NODE, 1, 3, error="worker.died"),
        span("n2", "a1", SpanKind.NODE, 1, 3, error="worker.died"),
        span("a2", "root", SpanKind.ATTEMPT, 4, 10, error="node.failed"),
        span("s", "a2", SpanKind.SUPERSTEP, 4, 10, error="ValueError"),
        span("n3", "s", SpanKind.NODE, 4, 10, error="ValueError"),
        span("n4", "s", SpanKind.NODE, 4, 10, error="cancelled"),
    ]
    assert trace_of(failed).totals.errors == 2
    later = span("root2", "root", SpanKind.RUN, 11, 12, error="node.failed")
    assert trace_of([*failed, later]).totals.errors == 3
    assert trace_of([failed[0], later]).totals.errors == 2


def test_a_cancelled_run_is_one_failure() -> None:
    spans = [
        span("root", "", SpanKind.RUN, 0, 10, error="cancelled"),
        span("a1", "root", SpanKind.ATTEMPT, 1, 10, error="cancelled"),
        span("s", "a1", SpanKind.SUPERSTEP, 1, 10, error="cancelled"),
        span("n1", "s", SpanKind.NODE, 1, 10, error="cancelled"),
        span("n2", "s", SpanKind.NODE, 1, 10, error="cancelled"),
    ]
    assert trace_of(spans).totals.errors == 1
    assert trace_of(spans[:1]).totals.errors == 1


def test_attempts_without_spans_are_counted_and_sums_of_an_incomplete_trace_are_at_least() -> None:
    trace = trace_of([span("root", "", SpanKind.RUN, 0, 10)])
    assert trace.totals.attempts == 1
    assert "at least" not in "\n".join(text_of(trace))
    left_out = replace(trace, runs=[replace(trace.run, left_out=3)])
    assert any(line.startswith("at least 0 model calls") for line in text_of(left_out))


@pytest.mark.parametrize("end_s", [215, 0.4, 121, 7201])
def test_the_labels_of_the_axis_do_not_touch(end_s: float) -> None:
    spans = [span("root", "", SpanKind.RUN, 0, end_s), span("a", "root", SpanKind.ATTEMPT, end_s - 0.1, end_s)]
    (scale,) = [line for line in text_of(trace_of(spans)) if line.lstrip().startswith("0 s")]
    labels = re.findall(r"[\d.]+ (?:s|min|ms|h)(?= |$)", scale)
    assert "".join(labels).replace(" ", "") == scale.replace(" ", "")
    assert len(labels) == len(set(labels)) >= 2


def test_the_page_explains_every_kind_of_span() -> None:
    page = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()
    table = page.partition("| kind | bar | span |")[2].partition("\n\n")[0]
    assert {kind.value for kind in SpanKind} <= set(re.findall(r"`([a-z]+)`", table))


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "0 s"), (7, "7 µs"), (1500, "1.5 ms"), (1_250_000, "1.25 s"), (7_200_000_000, "2 h"), (10**12, "11.6 d")],
)
def test_durations_are_short(us: int, text: str) -> None:
    assert duration_text(us) == text
    assert len(text) <= 8
