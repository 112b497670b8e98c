"""Rollouts as they are stored: each change at once as a whole, with its history and its announcement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from slipway.clock import Clock
from slipway.errors import Conflict, NotFound
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_subscriber import ServerSubscriber
from slipway.redis.shards import Shards
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.record import Action, VersionState
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import Announcements, RolloutStore
from slipway.rollouts.watch import RolloutWatch
from slipway.webhooks.record import Delivery
from slipway.webhooks.scripts import Delivered
from tests.waiting import Eventually
from tests.webhooks.delivery_scripts import delivery_scripts, settled

HOOK = Announcements("https://ops.example.com/hook", "deliveries")


async def find_versions(graph_id: str) -> GraphVersions:
    return GraphVersions(graph_id, ["1", "2", "3"], default="1")


async def is_needed(graph_id: str, version: str) -> bool:
    return version != "2"


@pytest.fixture
def scripts(pipeline: Pipeline, shards: Shards) -> RolloutScripts:
    return RolloutScripts(pipeline, shards)


@pytest.fixture
def store(scripts: RolloutScripts) -> RolloutStore:
    return RolloutStore(scripts, Clock(), find_versions, is_needed, RolloutsSection(), HOOK)


@pytest.fixture
async def watch(scripts: RolloutScripts, valkey_url: str) -> AsyncIterator[RolloutWatch]:
    subscriber = ServerSubscriber(Address(valkey_url), "test subscriber")
    await subscriber.open()
    watch = RolloutWatch(scripts, subscriber)
    await watch.start()
    yield watch
    await watch.close()
    await subscriber.close()


async def ramp(store: RolloutStore, percent: int = 10) -> None:
    await store.set_weights("desk", {"2": percent * 100}, by="ann", reason=None)


async def test_a_change_is_stored_with_its_history(store: RolloutStore) -> None:
    await ramp(store)
    await store.promote("desk", None, by="bob", reason="all good")
    await store.roll_back("desk", by="ann", reason="angry clients")

    rollout = await store.get("desk")
    assert (rollout.current, rollout.ramp, rollout.left) == ("1", None, ("2",))
    assert await store.all() == {"desk": rollout}
    history = [(entry.action, entry.by, entry.reason) for entry in await store.history("desk")]
    assert history == [
        (Action.ROLLED_BACK, "ann", "angry clients"),
        (Action.PROMOTED, "bob", "all good"),
        (Action.SET, "ann", None),
    ]


async def test_what_is_rejected_changes_nothing(store: RolloutStore) -> None:
    with pytest.raises(NotFound):
        await store.get("desk")
    await ramp(store)
    before = await store.get("desk")
    with pytest.raises(Conflict):
        await store.set_weights("desk", {"3": 1000}, by="ann", reason=None)
    assert await store.get("desk") == before
    assert len(await store.history("desk")) == 1


async def test_changes_at_the_same_time_follow_each_other(store: RolloutStore) -> None:
    await ramp(store, 1)
    await asyncio.gather(*(ramp(store, percent) for percent in range(2, 12)))
    assert len(await store.history("desk")) == 11


async def test_a_repeated_call_of_the_script_changes_nothing_twice(
    store: RolloutStore, scripts: RolloutScripts
) -> None:
    before = await scripts.read("desk")
    change = await store.set_weights("desk", {"2": 100}, by="ann", reason=None)
    assert await scripts.change("desk", before, change)
    assert len(await store.history("desk")) == 1
    other = await store.set_weights("desk", {"2": 200}, by="ann", reason=None)
    assert not await scripts.change("desk", before, change), "the rollout is another one by now"
    assert (await store.get("desk")) == other.rollout


async def test_a_process_learns_of_a_change(store: RolloutStore, watch: RolloutWatch, eventually: Eventually) -> None:
    assert watch.ramp_of("desk") is None
    await ramp(store)
    await eventually(lambda: watch.ramp_of("desk") is not None)
    await store.roll_back("desk", by="ann", reason=None)
    await store.clear("desk", by="ann", reason=None)
    await eventually(lambda: watch.of("desk") is None)


async def test_each_ramp_has_counts_of_its_own(store: RolloutStore, scripts: RolloutScripts) -> None:
    await ramp(store)
    first = (await store.get("desk")).ramp
    assert first is not None
    assert await scripts.looked("desk", first.ramp_id, 3)
    await ramp(store, 50)
    assert (await store.counts("desk")).looks == 3, "a new weight keeps them"
    await store.roll_back("desk", by="ann", reason=None)
    assert (await store.counts("desk")).ramp_id == ""
    assert not await scripts.looked("desk", first.ramp_id, 4)
    await ramp(store)
    assert (await store.counts("desk")).looks == 0


async def test_an_automatic_rollback_ends_only_its_own_ramp(store: RolloutStore) -> None:
    await ramp(store)
    first = (await store.get("desk")).ramp
    assert first is not None
    change = await store.roll_back_automatically("desk", first.ramp_id, "9 of 45 runs failed")
    assert change is not None
    assert (change.entry.by, change.entry.automatic) == ("slipway", True)
    assert change.entry.reason == "automatic: 9 of 45 runs failed"
    await ramp(store)
    assert await store.roll_back_automatically("desk", first.ramp_id, "late") is None
    assert (await store.get("desk")).ramp is not None


async def test_each_change_is_announced(store: RolloutStore, pipeline: Pipeline, shards: Shards, keys: Keys) -> None:
    deliveries = delivery_scripts(pipeline, keys)
    await ramp(store)
    (claimed,) = await deliveries.claim(["deliveries"], 10, lease_ms=60_000)
    delivery = Delivery.from_fields(claimed.fields, claimed.endpoint, now_us=0)
    assert delivery.url == "https://ops.example.com/hook"
    assert delivery.delivery_id.startswith("rollout-")
    body = orjson.loads(delivery.new_body(Clock().now(), allowed=["values"]))
    assert (body["type"], body["graph"], body["change"]["action"]) == ("rollout.changed", "desk", "set")
    assert body["rollout"]["ramping"]["percent"] == 10
    assert "webhook_sent_at" in body
    assert (await settled(deliveries, delivery.delivery_id, 1, Delivered())).stored
    assert await pipeline.send("ZCARD", shards.home.deliveries) == 0
    assert await deliveries.claim(["deliveries"], 10, lease_ms=60_000) == []


async def test_a_version_that_nothing_needs_is_drained(store: RolloutStore) -> None:
    await ramp(store)
    await store.roll_back("desk", by="ann", reason=None)
    states = {each.version: each.state for each in (await store.status("desk")).versions}
    assert states == {"1": VersionState.CURRENT, "2": VersionState.DRAINED, "3": VersionState.INACTIVE}
    await ramp(store)
    await store.promote("desk", None, by="ann", reason=None)
    states = {each.version: each.state for each in (await store.status("desk")).versions}
    assert states == {"2": VersionState.CURRENT, "1": VersionState.DRAINING, "3": VersionState.INACTIVE}
