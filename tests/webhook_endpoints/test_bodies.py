"""The bodies of events are JSON whatever ids and names contain."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final
from urllib.parse import unquote

import pytest

from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import library
from slipway.runs.record import Phase
from slipway.webhook_endpoints.record import Format
from tests.runs.conftest import Stores
from tests.webhook_endpoints.conftest import add
from tests.webhook_endpoints.phase_changes import deliveries_of

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LIMITS: Final = ((1, 1), (2, 28), (3, 1), (6, 30), (12, 31))
HOSTILE: Final = (
    'a"b',
    "a\\",
    "a\nb\r\t\x01\x7f",
    "é/ü?#%20&=+;",
    "\u2028\u2029\ufeff",
    "𝛀" * 50,
    "]]>{{}}[[",
    "%s%d%",
    "*",
    "run.*",
    "x y:z",
)


@pytest.mark.parametrize("name", HOSTILE)
async def test_names_of_graphs_and_owners_are_encoded(stores: Stores, name: str) -> None:
    """The owner selects the endpoint too, if an endpoint can have it, although it has quotes."""
    is_selected = name.isprintable() and "*" not in name
    endpoint = await add(stores, "run.failed", owner=name) if is_selected else await add(stores, "run.failed")
    run = await stores.create_run(None, graph_id=name, metadata={"owner": name})
    await stores.settle(await stores.claim_one(), Phase.FAILED)
    (delivery,) = await deliveries_of(stores.pipeline, stores.keys, endpoint.endpoint_id)
    body = json.loads(delivery["body"])
    assert body["type"] == "run.failed"
    assert (body["data"]["graph_id"], body["data"]["owner"]) == (name, name)
    assert (body["data"]["run_id"], body["data"]["error_code"], body["data"]["attempt"]) == (
        run.run_id,
        "node.failed",
        1,
    )
    assert unquote(body["data"]["link"]) == f"/threads/{run.thread_id}/runs/{run.run_id}"
    stored = await stores.reload(run)
    assert abs(datetime.fromisoformat(body["timestamp"]).timestamp() * 1e6 - int(stored.updated_us)) < 1e6


@pytest.mark.parametrize("owner", ["x" * 100_000, "\n" * 1990, {"a": ["b"] * 10_000}])
async def test_a_thin_body_is_small_whatever_clients_send(stores: Stores, owner: object) -> None:
    endpoint = await add(stores, "*")
    await stores.create_run(None, metadata={"owner": owner})
    (delivery,) = await deliveries_of(stores.pipeline, stores.keys, endpoint.endpoint_id)
    assert len(delivery["body"]) < 1000
    assert json.loads(delivery["body"])["data"]["owner"] is None


async def test_a_full_event_keeps_what_its_body_needs_although_the_thread_is_deleted(stores: Stores) -> None:
    endpoint = await add(stores, "run.completed", format=Format.FULL)
    run = await stores.create_run()
    await stores.settle(await stores.claim_one(), values='{"answer":42}')
    await stores.threads.delete(run.thread_id)
    (delivery,) = await deliveries_of(stores.pipeline, stores.keys, endpoint.endpoint_id)
    assert (delivery["unbuilt"], delivery["run_id"].decode()) == (b"1", run.run_id)
    assert (delivery["body_status"], delivery["body_values"]) == (b"success", b'{"answer":42}')
    assert delivery["kwargs"]
    assert json.loads(delivery["body"])["data"]["phase"] == "completed"


async def test_a_deleted_run_that_had_not_ended_is_cancelled_and_says_so(stores: Stores) -> None:
    endpoint = await add(stores, "run.cancelled")
    run = await stores.create_run()
    await stores.threads.delete(run.thread_id)
    ended = await stores.create_run()
    await stores.settle(await stores.claim_one())
    await stores.threads.delete(ended.thread_id)
    (delivery,) = await deliveries_of(stores.pipeline, stores.keys, endpoint.endpoint_id)
    data = json.loads(delivery["body"])["data"]
    assert (data["run_id"], data["deleted"]) == (run.run_id, True)


async def test_times_are_those_of_python(pipeline: Pipeline) -> None:
    """Leap days, ends of months and of years, and random times until 2220."""
    text = library("webhook_events")
    iso = text[text.index("local function iso(") : text.index("local function escaped_byte")]
    random, day_us = Random(1), 86_400_000_000
    days = [date(year, month, day) for year in (1970, 1999, 2000, 2026, 2028, 2100) for month, day in LIMITS]
    times = [(each - date(1970, 1, 1)).days * day_us + moment for each in days for moment in (0, day_us - 1)]
    times += [random.randrange(250 * 365 * day_us) for _ in range(300)]
    code = f"{iso} local texts = {{}} for i, us in ipairs(ARGV) do texts[i] = iso(tonumber(us)) end return texts"
    texts = await pipeline.send("EVAL", code, 0, *times)
    expected = [(EPOCH + timedelta(microseconds=each)).isoformat(timespec="microseconds") for each in times]
    assert [text.decode() for text in texts] == [each.replace("+00:00", "Z") for each in expected]
