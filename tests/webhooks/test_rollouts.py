"""Changes of rollouts are announced by a signed webhook, which a worker calls."""

from __future__ import annotations

from slipway.graphs.rollouts_section import RolloutsSection
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import Announcements, RolloutStore
from slipway_workers.process import WorkerProcess
from tests.waiting import Eventually
from tests.webhooks.conftest import Receiver


async def find_versions(graph_id: str) -> GraphVersions:
    return GraphVersions(graph_id, ["1", "2"], default="1")


async def is_needed(graph_id: str, version: str) -> bool:
    return True


async def test_a_change_is_announced_until_the_receiver_accepts_it(
    worker: WorkerProcess, receiver: Receiver, eventually: Eventually
) -> None:
    receiver.statuses = ["503 Service Unavailable", "200 OK"]
    services = worker.services
    scripts = RolloutScripts(services.pipeline, services.shards)
    hook = Announcements(receiver.url, "deliveries")
    store = RolloutStore(scripts, services.clock, find_versions, is_needed, RolloutsSection(), hook)
    await store.set_weights("steps", {"2": 1000}, by="ann", reason=None)
    await eventually(lambda: len(receiver.bodies) == 2)
    first, second = receiver.bodies
    assert (second["type"], second["graph"], second["change"]["by"]) == ("rollout.changed", "steps", "ann")
    assert first["rollout"] == second["rollout"]
    assert receiver.headers[0]["webhook-id"] == receiver.headers[1]["webhook-id"]
    assert receiver.headers[1]["webhook-signature"].startswith("v1,")
    assert receiver.headers[1]["authorization"] == "Bearer hush"
