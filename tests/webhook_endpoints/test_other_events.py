"""The events of reviews are the entries of the audit trail; those of crons and rollouts come once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.clock import Clock
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import RolloutStore
from slipway.services import Services
from slipway.switches.record import Kind, Target
from slipway.webhook_endpoints.record import Endpoint, Format
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from slipway_workers.duties.scheduler import Scheduler
from tests.crons.conftest import DueTimes, client, due_times, graphs, sdk, served, services, settings
from tests.shards import shards_of
from tests.webhook_endpoints.conftest import URL
from tests.webhook_endpoints.phase_changes import deliveries_of

__all__ = ["client", "due_times", "graphs", "sdk", "served", "services", "settings"]


@pytest.fixture
async def endpoints(pipeline: Pipeline, keys: Keys) -> EndpointStore:
    return EndpointStore(EndpointScripts(pipeline, shards_of(keys)), Clock(), lambda url: None, ["steps", "desk"])


async def add(endpoints: EndpointStore, *types: str, **members: Any) -> Endpoint:
    return (await endpoints.add(EndpointChange(url=URL, types=types, **members), by="ann")).endpoint


async def bodies(pipeline: Pipeline, keys: Keys, endpoint: Endpoint) -> Sequence[dict[str, Any]]:
    return [json.loads(fields["body"]) for fields in await deliveries_of(pipeline, keys, endpoint.endpoint_id)]


async def test_a_problem_of_a_cron_is_told_once_until_it_changes(
    sdk: LangGraphClient,
    services: Services,
    due_times: DueTimes,
    endpoints: EndpointStore,
    pipeline: Pipeline,
    keys: Keys,
) -> None:
    every, of_graph, hers = [
        await add(endpoints, "cron.problem", **members) for members in ({}, {"graphs": ["steps"]}, {"owner": "ann"})
    ]
    cron: Any = await sdk.crons.create("steps", schedule="* * * * *", input={}, metadata={"owner": "ann"})
    steps = Target(Kind.GRAPH, "steps")

    async def fail(reason: str) -> None:
        await services.switches.switch_off(steps, by="eve", reason=reason)
        await services.switch_watch.refresh()
        await due_times.make_due(cron["cron_id"])
        assert await Scheduler(services).run_once() == 0
        await services.switches.switch_on(steps, by="eve")
        await services.switch_watch.refresh()

    await fail("audit")
    await fail("audit")
    told = await bodies(pipeline, keys, every)
    assert [(each["data"]["cron_id"], each["data"]["owner"]) for each in told] == [(cron["cron_id"], "ann")]
    assert told[0]["data"]["problem"] == "no new runs are accepted: graph 'steps' is switched off by eve: audit"
    assert told[0]["data"]["link"] == f"/runs/crons/{cron['cron_id']}"
    await fail("fire")
    assert len(await bodies(pipeline, keys, every)) == 2
    # a run of the cron ends the problem, so the same one is told again
    await due_times.make_due(cron["cron_id"])
    assert await Scheduler(services).run_once() == 1
    handled = f"{keys.prefix}:cron:{cron['cron_id']}:handled"
    assert await pipeline.send("EXISTS", handled) == 1
    assert await pipeline.send("HEXISTS", handled, "problem") == 0
    assert await bodies(pipeline, keys, of_graph) == await bodies(pipeline, keys, every)
    assert await bodies(pipeline, keys, hers) == await bodies(pipeline, keys, every)


async def test_a_change_of_a_rollout_is_told_in_the_same_script(
    endpoints: EndpointStore, pipeline: Pipeline, keys: Keys
) -> None:
    thin, full, other = [
        await add(endpoints, "rollout.*", **members)
        for members in ({}, {"format": Format.FULL, "graphs": ["desk"]}, {"graphs": ["steps"]})
    ]

    async def find_versions(graph_id: str) -> GraphVersions:
        return GraphVersions(graph_id, ["1", "2"], default="1")

    async def is_needed(graph_id: str, version: str) -> bool:
        return True

    scripts = RolloutScripts(pipeline, shards_of(keys))
    store = RolloutStore(scripts, Clock(), find_versions, is_needed, RolloutsSection())
    await store.set_weights("desk", {"2": 1000}, by="ann", reason='a "try"')
    await store.roll_back("desk", by="bob", reason=None)
    told = await bodies(pipeline, keys, thin)
    assert [(each["data"]["graph_id"], each["data"]["action"]) for each in told] == [
        ("desk", "set"),
        ("desk", "rolled_back"),
    ]
    assert told[0]["data"]["link"] == "/ops/rollouts/desk"
    first, second = await deliveries_of(pipeline, keys, full.endpoint_id)
    assert json.loads(first["full_data"])["change"]["reason"] == 'a "try"'
    assert json.loads(second["full_data"])["rollout"]["ramping"] is None
    assert await bodies(pipeline, keys, other) == []
