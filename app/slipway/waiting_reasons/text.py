"""A waiting reason as text, for terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from slipway.clock import iso
from slipway.waiting_reasons.record import Act, Fact, WaitsFor, Why, seconds_text, time_text

_MOST_IN_A_LINE: Final = 4
"""Members of a record that are shown in one line."""

_IN_WORDS: Final = {WaitsFor.ATTEMPT: "", WaitsFor.NOTHING: ""}
"""What follows the phase, where it is not that the run waits."""


def lines_of(why: Why) -> list[str]:
    """The lines. Texts of others are in them as they are: the caller escapes what a terminal would obey."""
    since = f"since {time_text(iso(why.since_us))} ({seconds_text(why.waited_s)})"
    waits = _IN_WORDS.get(why.waits_for, f"waits for {why.waits_for.value.replace('_', ' ')}")
    waits = f", {waits}" if waits else ""
    lines = [f"run {why.run_id} of graph {why.graph_id} is {why.phase.replace('_', ' ')}{waits} {since}", why.sentence]
    lines += why.notes
    facts = [line for fact in why.facts for line in _fact_lines(fact)]
    return [*lines, *([""] if facts else []), *facts, *_act_lines(why.acts)]


def _fact_lines(fact: Fact) -> list[str]:
    label = _label(fact.name)
    if fact.value is None or fact.value in ([], {}):
        return []
    if isinstance(fact.value, Sequence) and not isinstance(fact.value, str):
        if all(isinstance(each, Mapping) and len(each) > _MOST_IN_A_LINE for each in fact.value):
            return [line for each in fact.value for line in _record_lines(label, each)]
        first, *more = [_value_text(each) for each in fact.value]
        return [f"  {label:<22} {first}", *(f"  {'':<22} {each}" for each in more)]
    unit = " s" if fact.name.endswith("_s") else ""
    return [f"  {label:<22} {_value_text(fact.value)}{unit}"]


def _label(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


def _record_lines(label: str, record: Mapping[str, Any]) -> list[str]:
    """A record with many members, such as a review: one line for each."""
    members = {_label(name): each for name, each in record.items() if each is not None and each not in ([], {})}
    return [f"  {label}", *(f"    {name:<20} {_value_text(each)}" for name, each in members.items())]


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        members = {name: each for name, each in value.items() if each is not None and each not in ([], {})}
        return ", ".join(f"{name.replace('_', ' ')} {_value_text(each)}" for name, each in members.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_value_text, value))
    return time_text(str(value))


def _act_lines(acts: Sequence[Act]) -> list[str]:
    if not acts:
        return []
    lines = ["", "Who can act:"]
    for act in acts:
        lines.append(f"  {act.who}: {act.what}")
        if act.command:
            lines.append(f"      {act.command}")
        if act.route:
            needs = f"  (needs {act.permission})" if act.permission else ""
            lines.append(f"      {act.route}{needs}")
    return lines
