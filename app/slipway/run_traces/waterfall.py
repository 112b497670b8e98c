"""A trace as a waterfall for terminals: a line for each span, with a bar on a time axis. Readable in 80 columns, and
without colours: bars of each kind have a character of their own."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from slipway.accounting.metered_usage import dollars
from slipway.run_traces.public_form import content_of
from slipway.run_traces.record import AssembledTrace, RunOfTrace, TreeSpan
from slipway.run_traces.time_axis import TimeAxis, axis_of
from slipway.telemetry.span import Span, SpanKind

NARROWEST: Final = 60
MOST_LINES: Final = 1000
"""Spans of a waterfall; `--json` has all of them."""

_LABEL: Final = 28
_LABEL_OF_NARROW: Final = 22
_DURATION: Final = 8
_BAR_AT_80: Final = 20
_CONTENT_CHARACTERS: Final = 600
_SHOWN_REDIS_S: Final = 0.01
"""Seconds that an attempt has waited for Redis from which on they are shown."""

_BARS: Final = {
    SpanKind.REQUEST: ("▪", "r", "cyan"),
    SpanKind.RUN: ("─", "-", "blue"),
    SpanKind.QUEUE: ("·", ".", "yellow"),
    SpanKind.ATTEMPT: ("━", "=", "blue"),
    SpanKind.SUPERSTEP: ("╌", "-", "bright_black"),
    SpanKind.NODE: ("█", "#", "green"),
    SpanKind.MODEL: ("▓", "m", "magenta"),
    SpanKind.TOOL: ("▒", "t", "cyan"),
    SpanKind.APPROVAL: ("░", "~", "yellow"),
    SpanKind.WEBHOOK: ("▚", "w", "cyan"),
}
"""The character of a bar, the one of terminals without these, and the colour."""

_OPEN: Final = ("▶", ">")
_FAILED: Final = ("✗", "x")
_ASCII: Final = str.maketrans({"…": "~", "µ": "u"})


@dataclass(frozen=True)
class Waterfall:
    """`width` is that of the terminal in columns, `unicode` whether it shows other characters than ASCII."""

    trace: AssembledTrace
    width: int = 80
    unicode: bool = True

    def lines(self) -> list[Text]:
        """All lines. Characters that a terminal would obey are replaced."""
        trace, axis = self.trace, axis_of(self.trace)
        lines = [*self._head(axis), Text(), self._scale(axis)]
        for number, (depth, each) in enumerate(trace.spans):
            if number == MOST_LINES:
                more = len(trace.spans) - MOST_LINES
                lines.append(Text(f"… {more} more spans: --json has them all"))
                break
            lines.append(self._line(depth, each, axis))
            lines += self._content(depth, each)
        lines += self._foot()
        if not self.unicode:
            for line in lines:
                line.plain = line.plain.translate(_ASCII).encode("ascii", "replace").decode()
        return lines

    # around the bars

    def _head(self, axis: TimeAxis) -> list[Text]:
        trace, totals, run = self.trace, self.trace.totals, self.trace.run
        duration = duration_text(trace.last_us - trace.started_us)
        texts = [
            f"trace {trace.trace_id or '(nothing was traced)'}",
            f"run {run.run_id} of graph {run.graph_id}: {run.phase}",
            f"{_count(len(trace.runs), 'run')}, {_count(totals.attempts, 'attempt')}, "
            f"{_count(len(totals.workers), 'worker')}, {duration}"
            f" (queue {duration_text(totals.queue_us)}, approval {duration_text(totals.approval_us)})",
        ]
        at_least = "at least " if trace.left_out or trace.cut_spans else ""
        if at_least or totals.model_calls or totals.tool_calls or totals.retries or totals.errors:
            texts.append(
                f"{at_least}{_count(totals.model_calls, 'model call')}, {totals.tokens_in}+{totals.tokens_out} tokens, "
                f"${dollars(totals.cost_nano):.6g}, {_count(totals.tool_calls, 'tool call')}, "
                f"{_retries(totals.retries)}, {_count(totals.errors, 'error')}"
            )
        texts += [f"{letter} = worker {worker}" for worker, letter in self._letters.items()]
        if axis.shortened:
            texts.append("times in which nothing worked are shortened")
        return [self._plain(line) for text in texts for line in self._wrapped(text)]

    def _foot(self) -> list[Text]:
        trace = self.trace
        texts = [_problem(trace, run) for run in trace.runs if run.problem]
        if trace.left_out:
            texts.append(f"{_count(trace.left_out, 'span')} left out: SLIPWAY_TRACE_RUN_MAX_BYTES was reached")
        if trace.cut_spans:
            texts.append(f"{_count(trace.cut_spans, 'span')} more are not shown")
        if trace.more_runs:
            texts.append("the chain has more runs than are shown")
        if trace.content_problem:
            texts.append(trace.content_problem)
        return [Text(), *(self._plain(line) for text in texts for line in self._wrapped(text))] if texts else []

    def _wrapped(self, text: str) -> list[str]:
        return textwrap.wrap(safe(text), max(self.width, NARROWEST), subsequent_indent="  ") or [""]

    def _plain(self, text: str) -> Text:
        return Text(text, no_wrap=True)

    @cached_property
    def _letters(self) -> Mapping[str, str]:
        """A letter for each worker."""
        workers = self.trace.totals.workers
        return {worker: _letter(number) for number, worker in enumerate(workers)}

    # columns

    @property
    def _label_width(self) -> int:
        return _LABEL if self.width >= 80 else _LABEL_OF_NARROW

    @property
    def _bar_width(self) -> int:
        return _BAR_AT_80 + (max(self.width, NARROWEST) - 80) * 6 // 10

    @property
    def _note_width(self) -> int:
        return max(self.width, NARROWEST) - self._label_width - self._bar_width - _DURATION - 3

    def _scale(self, axis: TimeAxis) -> Text:
        """The labels of the time axis, at its begin, its middle and its end."""
        width, first = self._bar_width, self.trace.started_us
        texts = [duration_text(axis.time_at(place) - first) for place in (0.0, 0.5, 1.0)]
        room = max(width - len(texts[0]) - len(texts[2]), 0)
        fits = len(texts[1]) + 2 <= room and texts[1] not in (texts[0], texts[2])
        middle = (texts[1] if fits else "").center(room)
        return Text(f"{'':{self._label_width}} {texts[0]}{middle}{texts[2]}"[: max(self.width, NARROWEST)], style="dim")

    def _line(self, depth: int, each: TreeSpan, axis: TimeAxis) -> Text:
        span = each.span
        label = _fit(f"{'  ' * min(depth, 10)}{label_of(span)}", self._label_width)
        end_us = self.trace.last_us if span.ended_us is None else span.ended_us
        duration = duration_text(end_us - span.started_us) + ("" if span.ended_us is not None else "+")
        line = Text(no_wrap=True)
        line.append(label, style="bold" if span.kind in (SpanKind.RUN, SpanKind.ATTEMPT) else "")
        line.append(" ")
        line.append(self._bar(span, end_us, axis), style="red" if span.error else _BARS[span.kind][2])
        line.append(f" {duration:>{_DURATION}} ")
        line.append(_fit(self._note(span), self._note_width).rstrip(), style="red" if span.error else "dim")
        line.rstrip()
        return line

    def _bar(self, span: Span, end_us: int, axis: TimeAxis) -> str:
        width = self._bar_width
        first = min(int(axis.place(span.started_us) * width), width - 1)
        last = min(max(round(axis.place(end_us) * width), first + 1), width)
        cells = [self._character(_BARS[span.kind])] * (last - first)
        if span.error:
            cells[-1] = self._character(_FAILED)
        elif span.ended_us is None:
            cells[-1] = self._character(_OPEN)
        return " " * first + "".join(cells) + " " * (width - last)

    def _character(self, choices: Sequence[str]) -> str:
        return choices[0 if self.unicode else 1]

    def _note(self, span: Span) -> str:
        attributes = span.attributes
        letter = self._letters.get(str(attributes.get("worker", "")))
        parts = [f"on {letter}"] if letter else []
        if span.error:
            parts.append(f"{self._character(_FAILED)} {span.error}")
        if attributes.get("tokens_in") or attributes.get("tokens_out"):
            parts.append(f"{attributes.get('tokens_in', 0)}+{attributes.get('tokens_out', 0)} tok")
        if isinstance(cost := attributes.get("cost_nano"), int) and cost:
            parts.append(f"${dollars(cost):.6g}")
        if isinstance(retries := attributes.get("retries"), int) and retries:
            parts.append(_retries(retries))
        if attributes.get("interrupted"):
            parts.append("asks")
        if decision := attributes.get("decision") or attributes.get("decided_by"):
            by = attributes.get("decided_by")
            parts.append(f"{decision} by {by}" if by and by != decision else str(decision))
        if isinstance(redis_s := attributes.get("redis_s"), float) and redis_s >= _SHOWN_REDIS_S:
            parts.append(f"Redis {duration_text(round(redis_s * 1e6))}")
        if status := attributes.get("status"):
            parts.append(f"HTTP {status}")
        return " ".join(parts)

    def _content(self, depth: int, each: TreeSpan) -> list[Text]:
        content = content_of(each.span, self.trace.contents)
        indent = "  " * (min(depth, 10) + 1)
        lines: list[Text] = []
        for name, value in content.items():
            text = f"{name}: {_json_text(value)}"
            shown = text if len(text) <= _CONTENT_CHARACTERS else f"{text[:_CONTENT_CHARACTERS]}…"
            wrapped = textwrap.wrap(safe(shown), max(self.width - len(indent), 20))
            lines += [Text(f"{indent}{line}", style="dim", no_wrap=True) for line in wrapped]
        return lines


def label_of(span: Span) -> str:
    """The kind and the name of a span."""
    name = safe(span.name)
    if span.kind in (SpanKind.QUEUE, SpanKind.REQUEST):
        return name
    return f"{span.kind.value} {name}"


def duration_text(us: int) -> str:
    """A duration in at most 8 characters, such as `1.25 s`."""
    us = max(us, 0)
    if us < 1000:
        return f"{us} µs" if us else "0 s"
    if us < 100_000:
        return f"{us / 1000:.3g} ms"
    seconds = us / 1e6
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 6000:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 172_800 else f"{seconds / 86_400:.3g} d"


def safe(text: str) -> str:
    """The text without characters that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _fit(text: str, width: int) -> str:
    """The text with exactly this many columns."""
    text = safe(text)
    if cell_len(text) > width:
        text = set_cell_size(text, max(width - 1, 0)) + "…"
    return set_cell_size(text, width)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _retries(number: int) -> str:
    return "1 retry" if number == 1 else f"{number} retries"


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def _problem(trace: AssembledTrace, run: RunOfTrace) -> str:
    return str(run.problem) if len(trace.runs) == 1 else f"run {run.run_id}: {run.problem}"


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
