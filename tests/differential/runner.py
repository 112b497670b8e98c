"""Executes scenarios on both servers and compares the recordings."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from tests.differential.comparison import Counterparts, Difference, DifferenceKind, differences
from tests.differential.recording import DEADLINE_S, Client, Step
from tests.differential.scenarios import Scenario
from tests.differential.webhook_receiver import WebhookReceiver, webhook_receiver

SCENARIO_DEADLINE_S = 120.0
CONCURRENT_SCENARIOS = 4


@dataclass(frozen=True)
class Server:
    """One of the two servers, and the receiver of its webhooks."""

    name: str
    url: str
    webhooks: WebhookReceiver


@dataclass(frozen=True)
class ScenarioResult:
    """The recordings of one scenario and their differences."""

    scenario: str
    reference: Sequence[Step]
    slipway: Sequence[Step]
    differences: Sequence[Difference]


async def execute_all(scenarios: Sequence[Scenario], reference_url: str, slipway_url: str) -> list[ScenarioResult]:
    """Executes `CONCURRENT_SCENARIOS` at once, and afterwards the exclusive scenarios one at a time."""
    async with webhook_receiver() as of_reference, webhook_receiver() as of_slipway:
        reference = Server("reference", reference_url, of_reference)
        return await _execute_all(scenarios, reference, Server("slipway", slipway_url, of_slipway))


async def _execute_all(scenarios: Sequence[Scenario], reference: Server, slipway: Server) -> list[ScenarioResult]:
    slots = asyncio.Semaphore(CONCURRENT_SCENARIOS)

    async def execute_in_slot(scenario: Scenario) -> ScenarioResult:
        async with slots:
            result = await execute(scenario, reference, slipway)
            print("." if not result.differences else "x", end="", flush=True)
            return result

    concurrent = [execute_in_slot(scenario) for scenario in scenarios if not scenario.exclusive]
    by_name = {result.scenario: result for result in await asyncio.gather(*concurrent)}
    for scenario in scenarios:
        if scenario.exclusive:
            by_name[scenario.name] = await execute_in_slot(scenario)
    print()
    return [by_name[scenario.name] for scenario in scenarios]


async def execute(scenario: Scenario, reference: Server, slipway: Server) -> ScenarioResult:
    """Executes the scenario on both servers at the same time."""
    recordings = await asyncio.gather(_record(scenario, reference), _record(scenario, slipway))
    return compare(scenario.name, *recordings)


def compare(scenario: str, reference: Sequence[Step], slipway: Sequence[Step]) -> ScenarioResult:
    """The result for two recordings of a scenario."""
    return ScenarioResult(scenario, reference, slipway, [*recording_differences(scenario, reference, slipway)])


async def _record(scenario: Scenario, server: Server) -> list[Step]:
    async with httpx.AsyncClient(base_url=server.url, timeout=DEADLINE_S) as http:
        client = Client(server.name, server.url, http, server.webhooks)
        try:
            await asyncio.wait_for(scenario.requests(client), SCENARIO_DEADLINE_S)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            frame = next((frame for frame in reversed(frames) if "scenarios" in frame.filename), frames[-1])
            client.record("exception", f"{type(error).__name__}: {error} ({frame.name}: {frame.line})")
        return client.steps


def recording_differences(scenario: str, reference: Sequence[Step], slipway: Sequence[Step]) -> Iterator[Difference]:
    """Compares step by step. A step that only one server has is one difference."""
    counterparts = Counterparts()
    for index in range(max(len(reference), len(slipway))):
        expected = reference[index] if index < len(reference) else None
        actual = slipway[index] if index < len(slipway) else None
        label = f"{index + 1} {(expected or actual or Step('', None)).label}"
        if expected is None or actual is None or expected.label != actual.label:
            if expected is not None and actual is not None:
                label = f"{label} / {actual.label}"
            kind: DifferenceKind = "extra" if expected is None else "missing" if actual is None else "value"
            yield Difference(scenario, label, "", kind, expected and expected.value, actual and actual.value)
            continue
        for path, kind_of_path, reference_value, slipway_value in differences(
            expected.value, actual.value, counterparts
        ):
            yield Difference(scenario, label, path, kind_of_path, reference_value, slipway_value)
