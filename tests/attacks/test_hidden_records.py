"""The response for a record of another user is that for a record that does not exist: the same bytes at the same
cost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from slipway.api.openapi import plain_path
from slipway.errors import Conflict
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.runs.record import new_id
from tests.attacks.rows import ROUTES, create_one_of_each
from tests.auth.conftest import Client
from tests.auth.samples import CRON, RUN, Sample, samples
from tests.bench.monitor import Commands, count_commands
from tests.http.conftest import Served
from tests.runs.conftest import new_run

GRAPH_ROUTES = {"GET /ui/graphs/{graph_id}"}
"""Their id is a graph id, which is not secret."""

MAY_BE_NEW = {
    "POST /threads/{thread_id}/commands",
    "POST /threads/{thread_id}/stream/events",
    "POST /threads/{thread_id}/stream/events/ticket",
}
"""They work before the thread exists, and create it with the first run. As with `POST /threads` and an id, a client can
find out that an id is in use, because it cannot use it."""

BY_ID = {name: route for name, route in ROUTES.items() if "{" in route.path} | {
    name: ROUTES[name]
    for name in (
        *("POST /runs", "POST /runs/wait", "POST /runs/stream", "POST /runs/batch", "POST /runs/crons"),
        *("POST /runs/cancel", "POST /threads/prune"),
    )
}
"""The routes that accept an id in their path or body."""

HIDDEN = sorted(BY_ID.keys() - GRAPH_ROUTES - MAY_BE_NEW)
LARGE = 2_000_000
"""Bytes of a large record."""
SMALL = 100_000
"""The most bytes that a denied request may read from Redis, whatever the size of the record: a few hundred, plus those
of a health check at the same time."""
TRIES = 10
"""A route fails after so many wrong measurements. Timers of the server add commands to single measurements."""


@dataclass(frozen=True, slots=True)
class Comparable:
    """The parts of a response that a client can compare. In `text`, requested ids are replaced by their names."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str


def unknown(ids: Mapping[str, str]) -> dict[str, str]:
    """The same ids, with UUIDs replaced by UUIDs that no record has."""
    return {name: _fresh(value) for name, value in ids.items()}


def _fresh(value: str) -> str:
    try:
        uuid.UUID(value)
    except ValueError:
        return value
    return str(uuid.uuid4())


async def send_as_bob(
    client: httpx.AsyncClient,
    name: str,
    ids: Mapping[str, str],
    sample: Sample | None = None,
    headers: Mapping[str, str] | None = None,
) -> Comparable:
    endpoint = ROUTES[name]
    sample = sample or samples(dict(ids)).get(name, Sample())
    request = client.build_request(
        endpoint.method,
        plain_path(endpoint.path).format(**ids),
        params=sample.query,
        headers={"authorization": "Bearer bob-token", "x-request-id": "the-same", **(headers or {})},
        content=None if sample.body is None else json.dumps(sample.body),
    )
    response = await client.send(request, stream=True)
    assert "event-stream" not in response.headers.get("content-type", ""), f"{name} streams"
    text = (await response.aread()).decode()
    kept = [(each, value) for each, value in response.headers.items() if each not in ("date", "content-length")]
    for kind, value in sorted(ids.items()):
        if len(value) == len(str(uuid.UUID(int=0))):
            text = text.replace(value, kind)
            kept = [(each, header.replace(value, kind)) for each, header in kept]
    return Comparable(response.status_code, tuple(sorted(kept)), text)


async def create_large_records(ann: Client, pipeline: Pipeline, keys: Keys) -> dict[str, str]:
    """Create one large record of each kind for ann. Returns their ids."""
    ids = await create_one_of_each(ann)
    text = "x" * LARGE
    await pipeline.send("HSET", keys.thread(ids["thread_id"]), "values", json.dumps({"text": text}))
    run = await ann.runs.create(ids["thread_id"], "greet", input={"text": text}, after_seconds=3600)
    cron = await ann.crons.create(ids["assistant_id"], schedule="0 0 1 1 *", input={"text": text})
    await ann.assistants.update(ids["assistant_id"], context={"text": text})
    return ids | {"run_id": run["run_id"], "cron_id": cron["cron_id"]}


async def test_a_hidden_id_gets_the_response_of_an_unknown_id(client: httpx.AsyncClient, ann: Client) -> None:
    ids = await create_one_of_each(ann)
    different = {}
    for name in HIDDEN:
        hidden, none = await send_as_bob(client, name, ids), await send_as_bob(client, name, unknown(ids))
        if hidden != none:
            different[name] = (hidden, none)
    assert different == {}


async def test_a_hidden_id_on_the_users_own_thread_gets_the_response_of_an_unknown_id(
    client: httpx.AsyncClient, ann: Client, bob: Client
) -> None:
    """Bob sends the id of his own thread with a run, checkpoint or assistant of ann."""
    ids = await create_one_of_each(ann)
    own = {"thread_id": (await bob.threads.create())["thread_id"]}
    different = {}
    for name in HIDDEN:
        if "{thread_id}" in name and name.count("{") > 1:
            found = [await send_as_bob(client, name, named | own) for named in (ids, unknown(ids))]
            if found[0] != found[1]:
                different[name] = found
    for name in ("POST /threads/{thread_id}/runs", "POST /threads/{thread_id}/runs/crons"):
        found = []
        for named in (ids, unknown(ids)):
            body = (CRON if name.endswith("crons") else RUN) | {"assistant_id": named["assistant_id"]}
            found.append(await send_as_bob(client, name, named | own, Sample(body)))
        if found[0] != found[1]:
            different[name] = found
    assert different == {}


async def test_an_invalid_body_gets_the_same_response_for_a_hidden_and_an_unknown_id(
    client: httpx.AsyncClient, ann: Client
) -> None:
    ids = await create_one_of_each(ann)
    different = {}
    for name in HIDDEN:
        if ROUTES[name].body is None and "PATCH" not in name:
            continue
        for body in ("no object", {}, {"metadata": 7, "config": 7, "limit": -1}):
            found = [await send_as_bob(client, name, named, Sample(body)) for named in (ids, unknown(ids))]
            if found[0] != found[1]:
                different[name, str(body)] = found
    assert different == {}


async def test_a_checkpoint_of_a_hidden_thread_gets_the_response_of_an_unknown_checkpoint(
    client: httpx.AsyncClient, ann: Client, worker: object
) -> None:
    ids = await create_one_of_each(ann)
    thread_id = (await ann.threads.create())["thread_id"]
    await ann.runs.wait(thread_id, "greet", input={"text": "hi"})
    existing = (await ann.threads.get_state(thread_id))["checkpoint"]["checkpoint_id"]
    ids |= {"thread_id": thread_id}
    requests: dict[str, Any] = {
        "GET /threads/{thread_id}/state/{checkpoint_id}": lambda checkpoint_id: Sample(),
        "POST /threads/{thread_id}/state/checkpoint": lambda checkpoint_id: Sample(
            {"checkpoint": {"checkpoint_id": checkpoint_id}}
        ),
        "POST /threads/{thread_id}/history": lambda checkpoint_id: Sample({"before": checkpoint_id}),
        "GET /threads/{thread_id}/history": lambda checkpoint_id: Sample(query={"before": checkpoint_id}),
        "POST /threads/{thread_id}/state": lambda checkpoint_id: Sample({"values": {}, "checkpoint_id": checkpoint_id}),
        "POST /threads/{thread_id}/runs": lambda checkpoint_id: Sample(RUN | {"checkpoint_id": checkpoint_id}),
        "POST /threads/{thread_id}/runs/wait": lambda checkpoint_id: Sample(RUN | {"checkpoint_id": checkpoint_id}),
        "POST /threads/{thread_id}/runs/stream": lambda checkpoint_id: Sample(
            RUN | {"checkpoint": {"checkpoint_id": checkpoint_id}}
        ),
    }
    for name, sample in requests.items():
        found = []
        for checkpoint_id, named in ((existing, ids), (str(uuid.uuid4()), ids), (existing, unknown(ids))):
            found.append(
                await send_as_bob(client, name, named | {"checkpoint_id": checkpoint_id}, sample(checkpoint_id))
            )
        assert found[0].status == 404, name
        assert found[0] == found[1] == found[2], name


async def test_the_response_for_a_hidden_run_does_not_name_its_thread(client: httpx.AsyncClient, ann: Client) -> None:
    ids = await create_one_of_each(ann)
    for name in ("GET /runs/{run_id}/stream", "GET /ui/graphs/{graph_id}"):
        sample = Sample(query={"from": ids["run_id"]})
        found = await send_as_bob(client, name, {each: ids[each] for each in ("run_id", "graph_id")}, sample)
        assert found.status == 404
        assert ids["thread_id"] not in found.text + str(found.headers)


@dataclass(frozen=True, slots=True)
class Cost:
    """The Redis commands of one request, and the bytes that Redis sent. Timers of the server may add to both."""

    commands: Commands
    sent: int

    @property
    def reads_whole_record(self) -> bool:
        return bool(WHOLE_RECORD_COMMANDS & (self.commands.keys() | self.commands.inner.keys()))


WHOLE_RECORD_COMMANDS = {"hgetall", "hvals"}


async def cost(url: str, pipeline: Pipeline, client: httpx.AsyncClient, name: str, ids: Mapping[str, str]) -> Cost:
    before = await _sent(pipeline)
    await send_as_bob(client, name, ids)
    sent = await _sent(pipeline) - before
    async with count_commands(url, pipeline) as commands:
        await send_as_bob(client, name, ids)
    return Cost(commands, sent)


async def _sent(pipeline: Pipeline) -> int:
    stats = (await pipeline.send("INFO", "stats")).decode()
    return int(stats.partition("total_net_output_bytes:")[2].partition("\r")[0])


async def excess_cost(
    url: str, pipeline: Pipeline, client: httpx.AsyncClient, name: str, ids: Mapping[str, str]
) -> Any:
    """The costs of a hidden and of an unknown record if they differ or are too high, otherwise None."""
    hidden = await cost(url, pipeline, client, name, ids)
    none = await cost(url, pipeline, client, name, unknown(ids)) if name in HIDDEN else hidden
    is_equal = not hidden.reads_whole_record and hidden.sent < SMALL and hidden.commands == none.commands
    return None if is_equal else (hidden, none)


async def test_a_large_hidden_record_costs_as_much_as_an_unknown_one(
    valkey_url: str, client: httpx.AsyncClient, ann: Client, pipeline: Pipeline, keys: Keys
) -> None:
    """Redis counts: the same commands, none that reads a whole record, and few bytes."""
    ids = await create_large_records(ann, pipeline, keys)
    wrong = {}
    for name in (*HIDDEN, *sorted(MAY_BE_NEW), "POST /threads", "POST /assistants"):
        for _ in range(TRIES):
            wrong[name] = await excess_cost(valkey_url, pipeline, client, name, ids)
            if wrong[name] is None:
                del wrong[name]
                break
    assert wrong == {}


async def test_filters_read_the_metadata_of_records_of_an_earlier_release(
    client: httpx.AsyncClient, ann: Client, bob: Client, pipeline: Pipeline, keys: Keys
) -> None:
    """These records have no fields for filters."""
    ids = await create_one_of_each(ann)
    for key in (keys.assistant(ids["assistant_id"]), keys.cron(ids["cron_id"])):
        await pipeline.send("HDEL", key, "members_of_us", "m:owner")
    for name in ("GET /assistants/{assistant_id}", "GET /runs/crons/{cron_id}"):
        assert (await send_as_bob(client, name, ids)).status == 404
    assert (await ann.assistants.get(ids["assistant_id"]))["metadata"]["owner"] == "ann"
    found = await client.get(f"/runs/crons/{ids['cron_id']}", headers={"authorization": "Bearer ann-token"})
    assert found.status_code == 200
    await pipeline.send("HSET", keys.assistant(ids["assistant_id"]), "updated_us", "1")  # changed by an earlier release
    assert (await ann.assistants.get(ids["assistant_id"]))["name"] == "hers"


async def test_filters_read_the_metadata_of_the_current_version(
    ann: Client, bob: Client, pipeline: Pipeline, keys: Keys
) -> None:
    created = await ann.assistants.create("greet", metadata={"team": "x", "note": "1"})
    await ann.assistants.update(created["assistant_id"], metadata={"note": "2"})
    key = keys.assistant(created["assistant_id"])
    assert await pipeline.send("HMGET", key, "m:owner", "m:team", "m:note") == [b'"ann"', b'"x"', b'"2"']
    await ann.assistants.set_latest(created["assistant_id"], 1)
    assert await pipeline.send("HMGET", key, "m:owner", "m:team", "m:note") == [b'"ann"', b'"x"', b'"1"']


async def test_the_id_behind_an_idempotency_key_cannot_be_computed(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    """The same key, path and body give another id after the stored key expired."""
    headers = {"authorization": "Bearer ann-token", "idempotency-key": "order-17"}
    first = (await client.post("/threads", json={}, headers=headers)).json()["thread_id"]
    assert (await client.post("/threads", json={}, headers=headers)).json()["thread_id"] == first
    for stored_key in await pipeline.send("KEYS", keys.idempotency("*")):
        await pipeline.send("DEL", stored_key)
    assert (await client.post("/threads", json={}, headers=headers)).json()["thread_id"] != first


@pytest.mark.parametrize("path", ["/threads", "/assistants", "/runs/crons", "/runs", "/threads/{}/runs"])
async def test_an_idempotency_key_finds_nothing_of_another_user(
    client: httpx.AsyncClient, ann: Client, path: str
) -> None:
    full_path = path.format((await ann.threads.create())["thread_id"])
    body = {"/threads": {}, "/assistants": {"graph_id": "greet"}, "/runs/crons": CRON}.get(path, RUN)
    hers = await client.post(full_path, json=body, headers=_idempotent("ann"))
    assert hers.status_code == 200
    his = await client.post(full_path, json=body, headers=_idempotent("bob"))
    if path.startswith("/threads/"):
        assert his.status_code == 404
    else:
        assert his.status_code == 200, "bob can use the same key"
        assert not set(_ids(hers.json())) & set(_ids(his.json()))


def _idempotent(user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {user}-token", "idempotency-key": "one"}


def _ids(record: Mapping[str, Any]) -> list[str]:
    return [record[name] for name in ("thread_id", "run_id", "cron_id") if record.get(name)]


async def test_an_idempotency_key_finds_no_record_that_its_user_lost_access_to(
    client: httpx.AsyncClient, ann: Client, served: Served
) -> None:
    """The request is repeated after bob became the owner of the thread."""
    services = served.services
    created = await client.post("/threads", json={}, headers=_idempotent("ann"))
    thread_id = created.json()["thread_id"]
    run = await client.post(f"/threads/{thread_id}/runs", json=RUN, headers=_idempotent("ann"))
    assert run.status_code == 200
    await services.threads.patch(thread_id, {"owner": "bob"})
    assert (await client.post("/threads", json={}, headers=_idempotent("ann"))).status_code == 409
    assert (await client.post(f"/threads/{thread_id}/runs", json=RUN, headers=_idempotent("ann"))).status_code == 404


async def test_the_thread_ids_of_a_cron_cannot_be_computed_by_clients(ann: Client, served: Served) -> None:
    """The ids are derived from a seed that no response has."""
    crons = []
    for _ in range(2):
        created = await ann.crons.create("greet", schedule="0 0 1 1 *", input={})
        crons.append(await served.services.crons.get(created["cron_id"]))
    first, other = crons
    assert first.run_ids(1, Shards("p")) == first.run_ids(1, Shards("p"))
    assert first.run_ids(1, Shards("p")) != replace(first, seed=other.seed).run_ids(1, Shards("p"))
    assert first.seed
    assert first.seed not in json.dumps(first.public())


async def test_a_run_that_creates_its_thread_rejects_an_existing_thread(ann: Client, served: Served) -> None:
    thread_id = (await ann.threads.create())["thread_id"]
    submission = served.services.submission
    with pytest.raises(Conflict):
        await submission.submit(new_run(thread_id, graph_id="greet", create_thread=True, own_thread=True))
    run = await submission.submit(new_run(new_id(), graph_id="greet", create_thread=True, own_thread=True))
    assert run.status == "pending"
