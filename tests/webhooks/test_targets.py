"""Targets of deliveries: few calls at once over all processes, a circuit breaker, and endpoints that are disabled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.delivery_queues import EXTERNAL, INTERNAL, DeliveryQueue, webhook_origin
from slipway.webhooks.scripts import (
    Delivered,
    DeliveryScripts,
    GivenUp,
    TargetHealth,
    TriedAgain,
)
from tests.webhooks.delivery_scripts import delivery_scripts, settled

pytestmark = pytest.mark.one_shard("it looks into the queue of deliveries of one shard")

LEASE_MS: Final = 60_000
FAILED: Final = TargetHealth(answered=False)
ANSWERED: Final = TargetHealth(answered=True)


async def endpoint(pipeline: Pipeline, keys: Keys, name: str, **fields: str) -> None:
    await pipeline.send(
        *("HSET", keys.webhook_endpoint(name), "url", "https://e.example/", "state", "enabled", "keys", "[]"),
        *(text for field in fields.items() for text in field),
    )


async def due(pipeline: Pipeline, keys: Keys, endpoint_id: str, *names: str) -> None:
    """Deliveries to an endpoint, in the order of the names."""
    for at, name in enumerate(names):
        await pipeline.send(
            *("HSET", keys.delivery(name), "tries", 0, "endpoint_id", endpoint_id, "body", "{}", "type", "run.failed")
        )
        await pipeline.send("ZADD", keys.deliveries, at + 1, name)


async def claimed(scripts: DeliveryScripts, limit: int = 100) -> list[str]:
    return [each.delivery_id for each in await scripts.claim((EXTERNAL,), limit, LEASE_MS)]


async def look_again(pipeline: Pipeline, keys: Keys) -> None:
    """As if the time had come to look at all targets with parked deliveries."""
    for target in await pipeline.send("ZRANGE", keys.parked_targets, 0, -1):
        await pipeline.send("ZADD", keys.parked_targets, 0, target)


async def fail(scripts: DeliveryScripts, name: str, number: int, *, health: TargetHealth = FAILED) -> None:
    await settled(scripts, name, number, TriedAgain("HTTP 500", 3_600_000), health)


async def test_a_slow_target_delays_no_other(pipeline: Pipeline, keys: Keys) -> None:
    """Two processes claim; the slow endpoint has 300 due deliveries before that of the other one."""
    first, second = delivery_scripts(pipeline, keys, concurrency=3), delivery_scripts(pipeline, keys, concurrency=3)
    await endpoint(pipeline, keys, "slow")
    await endpoint(pipeline, keys, "quick")
    await due(pipeline, keys, "slow", *(f"s{i:03}" for i in range(300)))
    await due(pipeline, keys, "quick", "q")
    await pipeline.send("ZADD", keys.deliveries, 1000, "q")
    assert await claimed(first, 16) == ["s000", "s001", "s002", "q"]
    assert await claimed(second, 16) == []
    assert await pipeline.send("ZCARD", keys.parked_deliveries("slow")) == 297
    assert (await settled(first, "s001", 1, Delivered(), ANSWERED)).stored
    assert await claimed(second, 16) == ["s003"], "a call has ended, so the one that waited longest follows"
    assert await claimed(first, 16) == []


async def test_deliveries_to_a_path_of_this_deployment_wait_and_return_to_their_own_queue(
    pipeline: Pipeline, keys: Keys
) -> None:
    """Workers could not call them."""
    scripts = delivery_scripts(pipeline, keys, concurrency=1)
    await endpoint(pipeline, keys, "e")
    for name in ("a", "b"):
        await pipeline.send("HSET", keys.delivery(name), "tries", 0, "endpoint_id", "e", "body", "{}")
        await pipeline.send("HSET", keys.delivery(name), "webhook_queue", "internal_deliveries")
        await pipeline.send("ZADD", keys.internal_deliveries, 1, name)
    assert [each.delivery_id for each in await scripts.claim((INTERNAL,), 9, LEASE_MS)] == ["a"]
    assert await pipeline.send("ZRANGE", keys.parked_deliveries("e"), 0, -1) == [b"b"]
    assert await pipeline.send("ZRANGE", keys.internal_deliveries, 0, -1) == [b"a"]
    await settled(scripts, "a", 1, Delivered(), ANSWERED)
    assert await claimed(scripts) == []
    assert [each.delivery_id for each in await scripts.claim((INTERNAL,), 9, LEASE_MS)] == ["b"]


async def test_an_endpoint_may_have_its_own_number_of_calls(pipeline: Pipeline, keys: Keys) -> None:
    await endpoint(pipeline, keys, "e", concurrency="2")
    await due(pipeline, keys, "e", "a", "b", "c")
    assert await claimed(delivery_scripts(pipeline, keys, concurrency=64)) == ["a", "b"]


async def test_the_calls_of_a_process_that_died_are_free_again(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys, concurrency=1)
    await endpoint(pipeline, keys, "e")
    await due(pipeline, keys, "e", "a", "b")
    assert await claimed(scripts) == ["a"]
    assert await claimed(scripts) == []
    for name in (keys.deliveries, keys.delivery_calls("e")):  # as if its claim had ended
        await pipeline.send("ZADD", name, "XX", 0, "a")
    assert await claimed(scripts) == ["a"]
    assert await pipeline.send("LLEN", keys.delivery_tries("a")) == 1, "the try that was lost is recorded"
    assert not (await settled(scripts, "a", 1, GivenUp("late"))).stored, "the earlier try is fenced"
    assert (await settled(scripts, "a", 2, Delivered(), ANSWERED)).stored
    assert await claimed(scripts) == ["b"]


async def test_a_breaker_opens_after_failures_and_admits_one_probe(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys, concurrency=5)
    await endpoint(pipeline, keys, "e")
    await due(pipeline, keys, "e", *"abcdefgh")
    assert await claimed(scripts) == [*"abcde"]
    for name in "abcde":
        await fail(scripts, name, 1)
    assert await claimed(scripts) == [], "the breaker is open"
    assert await pipeline.send("ZCARD", keys.parked_deliveries("e")) == 3
    await pipeline.send("HSET", keys.webhook_endpoint("e"), "open_until_us", 1)
    await look_again(pipeline, keys)
    assert await claimed(scripts) == ["f"], "a probe"
    assert await claimed(scripts) == []
    await fail(scripts, "f", 1)
    await look_again(pipeline, keys)
    assert await claimed(scripts) == [], "it is open for longer"
    await pipeline.send("HSET", keys.webhook_endpoint("e"), "open_until_us", 1)
    await look_again(pipeline, keys)
    assert await claimed(scripts) == ["g"]
    await settled(scripts, "g", 1, Delivered(), ANSWERED)
    assert await pipeline.send("HEXISTS", keys.webhook_endpoint("e"), "failures") == 0
    assert await claimed(scripts) == ["h"]


async def test_a_target_that_wants_fewer_calls_gets_none_for_so_long(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys, concurrency=1)
    await endpoint(pipeline, keys, "e")
    await due(pipeline, keys, "e", "a", "b")
    assert await claimed(scripts) == ["a"]
    await fail(scripts, "a", 1, health=TargetHealth(answered=False, wants_pause_ms=90_000))
    seconds, _ = await pipeline.send("TIME")
    until_us = int(await pipeline.send("HGET", keys.webhook_endpoint("e"), "open_until_us"))
    assert 80 <= until_us / 1_000_000 - int(seconds) <= 91
    await look_again(pipeline, keys)
    assert await claimed(scripts) == []


@pytest.mark.parametrize(("after_s", "disabled"), [(3 * 86_400, True), (5 * 86_400, False), (0, False)])
async def test_an_endpoint_that_fails_for_days_is_disabled(
    pipeline: Pipeline, keys: Keys, after_s: int, disabled: bool
) -> None:
    """It has failed for four days. What waits for it becomes dead letters, which say why."""
    scripts = delivery_scripts(pipeline, keys, concurrency=1, disable_after_s=after_s)
    seconds, _ = await pipeline.send("TIME")
    since_us = (int(seconds) - 4 * 86_400 - 60) * 1_000_000
    await endpoint(pipeline, keys, "e", failures="30", failing_since_us=str(since_us))
    await due(pipeline, keys, "e", "a", "b")
    assert await claimed(scripts) == ["a"]
    result = await settled(scripts, "a", 1, TriedAgain("HTTP 500", 3_600_000), FAILED)
    assert result.disabled == ("its calls have failed for 96 hours" if disabled else None)
    fields = await pipeline.send("HMGET", keys.webhook_endpoint("e"), "state", "disabled_reason")
    assert fields == ([b"disabled", b"its calls have failed for 96 hours"] if disabled else [b"enabled", None])
    await pipeline.send("HSET", keys.webhook_endpoint("e"), "open_until_us", 1)
    await look_again(pipeline, keys)
    assert await claimed(scripts) == ([] if disabled else ["b"])
    if disabled:
        stored = await pipeline.send("HMGET", keys.delivery("b"), "delivery_state", "problem", "tries")
        assert stored == [b"dead", b"the endpoint is disabled", b"0"]


async def test_two_failures_that_are_days_apart_disable_nothing(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys, disable_after_s=60)
    await endpoint(pipeline, keys, "e", failures="1", failing_since_us="1")
    await due(pipeline, keys, "e", "a")
    assert await claimed(scripts) == ["a"]
    assert (await settled(scripts, "a", 1, TriedAgain("HTTP 500", 1), FAILED)).disabled is None


async def test_an_endpoint_that_is_gone_is_disabled(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys)
    await endpoint(pipeline, keys, "e")
    await due(pipeline, keys, "e", "a")
    await claimed(scripts)
    result = await settled(scripts, "a", 1, GivenUp("HTTP 410"), TargetHealth(answered=False, gone=True))
    assert result.disabled == "it responded 410 Gone"
    assert await pipeline.send("HGET", keys.webhook_endpoint("e"), "state") == b"disabled"


async def test_what_waits_for_a_deleted_endpoint_becomes_a_dead_letter(pipeline: Pipeline, keys: Keys) -> None:
    scripts = delivery_scripts(pipeline, keys)
    await due(pipeline, keys, "e", "a")
    assert await claimed(scripts) == []
    assert await pipeline.send("HGET", keys.delivery("a"), "problem") == b"the endpoint was deleted"
    assert await pipeline.send("EXISTS", keys.webhook_endpoint("e"), keys.deliveries) == 0


@pytest.mark.parametrize("queue", [EXTERNAL, INTERNAL])
async def test_an_endpoint_that_is_a_path_of_this_deployment_is_not_called(
    pipeline: Pipeline, keys: Keys, queue: DeliveryQueue
) -> None:
    """An earlier release has stored it. The call would have no user, and so all rights."""
    scripts = delivery_scripts(pipeline, keys)
    await endpoint(pipeline, keys, "e", url="/threads/t/copy", for_owner="acme")
    await due(pipeline, keys, "e", "a")
    if queue == INTERNAL:
        await pipeline.send("HSET", keys.delivery("a"), "webhook_queue", INTERNAL)
        await pipeline.send("RENAME", keys.deliveries, keys.internal_deliveries)
    assert await scripts.claim((queue,), 10, LEASE_MS) == []
    assert await pipeline.send("HMGET", keys.delivery("a"), "delivery_state", "tries", "problem") == [
        b"dead",
        b"0",
        b"the URL of the endpoint is a path of this deployment: an endpoint needs an absolute URL",
    ]
    assert await pipeline.send("EXISTS", keys.deliveries, keys.internal_deliveries) == 0


def test_an_origin_is_that_of_one_owner() -> None:
    """Otherwise one owner could open the breaker of a host for another."""

    def origins(*urls: str, user: dict[str, object] | None = None) -> Sequence[str | None]:
        return [webhook_origin(url, user) for url in urls]

    same = origins("https://a.example/x", "https://A.example:443/y?z#f", "https://a.example./")
    assert len(set(same)) == 1
    others = origins("http://a.example/", "https://b.example/", "https://a.example:444/")
    assert len({*same, *others}) == 4
    assert webhook_origin("https://a.example/", {"identity": "ann"}) != webhook_origin(
        "https://a.example/", {"identity": "bob"}
    )
    assert origins("/path", "https://a.example:x/", "", "https://") == [None] * 4
