"""Puts spans of several runs together to one tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from slipway.run_traces.record import TreeSpan
from slipway.telemetry.span import Span, SpanKind

_DEEPEST: Final = 100
"""Spans that are deeper are shown at this depth: whoever shows a tree must not recurse for ever."""

_LONGEST_NAME: Final = 200


def tree_of(spans: Mapping[str, Sequence[Span]]) -> list[TreeSpan]:
    """The roots of the tree, by their start. `spans` are those of each run, by its id. A span whose parent is not among
    them is a root, also if it is its own parent or part of a circle."""
    owners = {span.span_id: (run_id, bounded(span)) for run_id, group in spans.items() for span in group}
    children: dict[str, list[str]] = defaultdict(list)
    for span_id, (_, span) in owners.items():
        children[span.parent_id if span.parent_id in owners else ""].append(span_id)
    reached: set[str] = set()
    roots = [_grown(root, owners, children, reached) for root in children[""]]
    for span_id in owners:  # of circles
        if span_id not in reached:
            roots.append(_grown(span_id, owners, children, reached))
    return sorted(roots, key=_start)


def _grown(
    root: str, owners: Mapping[str, tuple[str, Span]], children: Mapping[str, Sequence[str]], reached: set[str]
) -> TreeSpan:
    """The tree below a span, built without recursion."""
    order: list[tuple[str, str, int]] = []
    waiting = [(root, "", 0)]
    while waiting:
        span_id, above, depth = waiting.pop()
        if span_id in reached:
            continue
        reached.add(span_id)
        order.append((span_id, above, depth))
        below = above if depth >= _DEEPEST else span_id
        waiting += [(child, below, depth + 1) for child in children.get(span_id, ())]
    built: dict[str, list[TreeSpan]] = defaultdict(list)
    for span_id, above, _ in reversed(order):
        run_id, span = owners[span_id]
        node = TreeSpan(span, run_id, tuple(sorted(built.pop(span_id, []), key=_start)))
        built[above].append(node)
    return built[""][0]


def with_ends(spans: Sequence[Span]) -> list[Span]:
    """The spans of one run. What an attempt executed when its process was killed has no end: it ends with the
    attempt, and with its error."""
    by_id = {span.span_id: span for span in spans}
    return [span if span.ended_us is not None else _ended_with(span, by_id) for span in spans]


def _ended_with(span: Span, by_id: Mapping[str, Span]) -> Span:
    around: Span | None = span
    for _ in range(_DEEPEST):
        if around is None or around.kind is SpanKind.ATTEMPT:
            break
        around = by_id.get(around.parent_id)
    if around is None or around is span or around.kind is not SpanKind.ATTEMPT or around.ended_us is None:
        return span
    return replace(span, ended_us=max(around.ended_us, span.started_us), error=span.error or around.error or UNFINISHED)


UNFINISHED: Final = "unfinished"
"""The error of a span whose end was not stored, although its attempt has ended."""

_ORDER: Final = {kind: number for number, kind in enumerate(SpanKind)}


def _start(node: TreeSpan) -> tuple[int, int, str]:
    return node.span.started_us, _ORDER[node.span.kind], node.span.span_id


def bounded(span: Span) -> Span:
    """The span with a name, an error and attributes of a bounded length: nodes and tools may have any names."""
    long = [name for name, value in span.attributes.items() if isinstance(value, str) and len(value) > 8 * 1024]
    if len(span.name) <= _LONGEST_NAME and len(span.error) <= _LONGEST_NAME and not long:
        return span
    attributes = {name: _cut(value, 8 * 1024) if name in long else value for name, value in span.attributes.items()}
    return replace(
        span, name=_cut(span.name, _LONGEST_NAME), error=_cut(span.error, _LONGEST_NAME), attributes=attributes
    )


def _cut(text: object, longest: int) -> str:
    text = str(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def shortened(nodes: Sequence[TreeSpan], most: int) -> tuple[Sequence[TreeSpan], int]:
    """The roots with at most `most` spans, the first ones in the order in which they are shown, and how many were taken
    out."""
    shown = [each for root in nodes for _, each in root.walk()]
    if len(shown) <= most:
        return nodes, 0
    return _pruned(nodes, {id(each) for each in shown[:most]}), len(shown) - most


def _pruned(nodes: Sequence[TreeSpan], kept: set[int]) -> list[TreeSpan]:
    return [replace(node, children=_pruned(node.children, kept)) for node in nodes if id(node) in kept]
