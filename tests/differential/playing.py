"""Plays scenarios on both servers and compares what was recorded."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from tests.differential.comparison import Counterparts, Difference, Kind, differences
from tests.differential.recording import DEADLINE_S, Client, Step
from tests.differential.scenarios import Scenario
from tests.differential.webhook_receiver import WebhookReceiver, receiving

SCENARIO_DEADLINE_S = 120.0
AT_ONCE = 4


@dataclass(frozen=True)
class Side:
    """One of the two servers, and what receives its webhooks."""

    name: str
    url: str
    hooks: WebhookReceiver


@dataclass(frozen=True)
class Played:
    """A scenario's recordings and what they differ in."""

    scenario: str
    reference: Sequence[Step]
    ours: Sequence[Step]
    differences: Sequence[Difference]


async def play_all(scenarios: Sequence[Scenario], reference: str, ours: str) -> list[Played]:
    """A few at a time; those that want to be alone after the others."""
    async with receiving() as theirs, receiving() as own:
        return await _all(scenarios, Side("reference", reference, theirs), Side("slipway", ours, own))


async def _all(scenarios: Sequence[Scenario], reference: Side, ours: Side) -> list[Played]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Scenario) -> Played:
        async with turns:
            found = await play(scenario, reference, ours)
            print("." if not found.differences else "x", end="", flush=True)
            return found

    together = await asyncio.gather(*(one(scenario) for scenario in scenarios if not scenario.alone))
    by_name = {found.scenario: found for found in together}
    for scenario in scenarios:
        if scenario.alone:
            by_name[scenario.name] = await one(scenario)
    print()
    return [by_name[scenario.name] for scenario in scenarios]


async def play(scenario: Scenario, reference: Side, ours: Side) -> Played:
    """One scenario on both servers at the same time."""
    theirs, own = await asyncio.gather(_recorded(scenario, reference), _recorded(scenario, ours))
    return played(scenario.name, theirs, own)


def played(scenario: str, reference: Sequence[Step], ours: Sequence[Step]) -> Played:
    """The recordings, compared."""
    return Played(scenario, reference, ours, [*compared(scenario, reference, ours)])


async def _recorded(scenario: Scenario, side: Side) -> list[Step]:
    async with httpx.AsyncClient(base_url=side.url, timeout=DEADLINE_S) as http:
        client = Client(side.name, side.url, http, side.hooks)
        try:
            await asyncio.wait_for(scenario.play(client), SCENARIO_DEADLINE_S)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next((frame for frame in reversed(where) if "scenarios" in frame.filename), where[-1])
            client.note("broke off", f"{type(error).__name__}: {error} ({line.name}: {line.line})")
        return client.steps


def compared(scenario: str, reference: Sequence[Step], ours: Sequence[Step]) -> Iterator[Difference]:
    """Step by step; a step that only one side came to is a difference of its own."""
    counterparts = Counterparts()
    for place in range(max(len(reference), len(ours))):
        one = reference[place] if place < len(reference) else None
        other = ours[place] if place < len(ours) else None
        label = f"{place + 1} {(one or other or Step('', None)).label}"
        if one is None or other is None or one.label != other.label:
            if one is not None and other is not None:
                label = f"{label} / {other.label}"
            only: Kind = "extra" if one is None else "missing" if other is None else "value"
            yield Difference(scenario, label, "", only, one and one.answer, other and other.answer)
            continue
        for path, kind, theirs, own in differences(one.answer, other.answer, counterparts):
            yield Difference(scenario, label, path, kind, theirs, own)
