"""A waiting reason as text, for terminals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slipway.clock import iso
from slipway.waiting_reasons.record import Act, Fact, WaitsFor, Why, seconds_text


def lines_of(why: Why) -> list[str]:
    """The lines. Texts of others are in them as they are: the caller escapes what a terminal would obey."""
    since = f"since {_second(iso(why.since_us))} ({seconds_text(why.waited_s)})"
    waits = "" if why.waits_for is WaitsFor.NOTHING else f", waits for {why.waits_for.value.replace('_', ' ')}"
    lines = [f"run {why.run_id} of graph {why.graph_id} is {why.phase}{waits} {since}", why.sentence]
    lines += why.notes
    facts = [line for fact in why.facts for line in _fact_lines(fact)]
    return [*lines, *([""] if facts else []), *facts, *_act_lines(why.acts)]


def _second(time: str) -> str:
    return f"{time[:19].replace('T', ' ')} UTC"


def _fact_lines(fact: Fact) -> list[str]:
    label = fact.name.replace("_", " ")
    if fact.value is None or fact.value in ([], {}):
        return []
    if isinstance(fact.value, Sequence) and not isinstance(fact.value, str):
        first, *more = [_value_text(each) for each in fact.value]
        return [f"  {label:<22} {first}", *(f"  {'':<22} {each}" for each in more)]
    return [f"  {label:<22} {_value_text(fact.value)}"]


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        members = {name: each for name, each in value.items() if each is not None and each not in ([], {})}
        return ", ".join(f"{name.replace('_', ' ')} {_value_text(each)}" for name, each in members.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_value_text, value))
    return str(value)


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
