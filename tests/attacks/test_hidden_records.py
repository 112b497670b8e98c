"""What exists and belongs to somebody else answers as what does not exist: the same bytes, at the same cost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui import site
from slipway.errors import Conflict
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import new_id
from tests.auth.conftest import Client
from tests.auth.samples import CRON, RUN, Sample, samples
from tests.auth.test_every_route import anns
from tests.bench.monitor import Commands, count_commands
from tests.http.conftest import Served
from tests.runs.conftest import new_run

ROUTES = {f"{each.method} {plain_path(each.path)}": each for each in (*ENDPOINTS, *site.ENDPOINTS)}
GRAPHS = {"GET /ui/graphs/{graph_id}"}
"""Their id is a graph's name, which everybody may know."""

MAY_BE_NEW = {
    "POST /threads/{thread_id}/commands",
    "POST /threads/{thread_id}/stream/events",
}
"""They may come before their thread: whoever follows an id that is free makes the thread with the first run. As for
`POST /threads` with an id, a client learns that an id is taken by not getting it."""

BY_ID = {name: route for name, route in ROUTES.items() if "{" in route.path} | {
    name: ROUTES[name]
    for name in (
        *("POST /runs", "POST /runs/wait", "POST /runs/stream", "POST /runs/batch", "POST /runs/crons"),
        *("POST /runs/cancel", "POST /threads/prune"),
    )
}
"""The routes that take the id of something, in their path or in their body."""

HIDDEN = sorted(BY_ID.keys() - GRAPHS - MAY_BE_NEW)
LARGE = 2_000_000
"""Bytes of a large record."""
SMALL = 100_000
"""Bytes that a refusal may read from Redis, whatever the record is like: a few hundred, and what health checks read in
the same moment."""
TRIES = 10
"""How often a route is measured before it is wrong: the server's own timers add to single measurements."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client can compare. `text` has names for the ids that were asked for."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str


def unknown(ids: Mapping[str, str]) -> dict[str, str]:
    """Ids of nothing, in place of those that are ids."""
    return {name: _fresh(value) for name, value in ids.items()}


def _fresh(value: str) -> str:
    try:
        uuid.UUID(value)
    except ValueError:
        return value
    return str(uuid.uuid4())


async def answer(
    client: httpx.AsyncClient,
    name: str,
    ids: Mapping[str, str],
    sample: Sample | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """What bob gets. The ids that he asks for are replaced by their names."""
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
    shown = [(each, value) for each, value in response.headers.items() if each not in ("date", "content-length")]
    for kind, value in sorted(ids.items()):
        if len(value) == len(str(uuid.UUID(int=0))):
            text = text.replace(value, kind)
            shown = [(each, header.replace(value, kind)) for each, header in shown]
    return Answer(response.status_code, tuple(sorted(shown)), text)


async def large(ann: Client, pipeline: Pipeline, keys: Keys) -> dict[str, str]:
    """One of everything of ann's, each with a large record."""
    ids = await anns(ann)
    text = "x" * LARGE
    await pipeline.send("HSET", keys.thread(ids["thread_id"]), "values", json.dumps({"text": text}))
    run = await ann.runs.create(ids["thread_id"], "greet", input={"text": text}, after_seconds=3600)
    cron = await ann.crons.create(ids["assistant_id"], schedule="0 0 1 1 *", input={"text": text})
    await ann.assistants.update(ids["assistant_id"], context={"text": text})
    return ids | {"run_id": run["run_id"], "cron_id": cron["cron_id"]}


async def test_a_hidden_id_gets_the_response_of_an_unknown_id(client: httpx.AsyncClient, ann: Client) -> None:
    ids = await anns(ann)
    different = {}
    for name in HIDDEN:
        hidden, none = await answer(client, name, ids), await answer(client, name, unknown(ids))
        if hidden != none:
            different[name] = (hidden, none)
    assert different == {}


async def test_a_hidden_id_on_the_users_own_thread_gets_the_response_of_an_unknown_id(
    client: httpx.AsyncClient, ann: Client, bob: Client
) -> None:
    """Bob names his own thread and a run, checkpoint or assistant of ann's."""
    ids = await anns(ann)
    own = {"thread_id": (await bob.threads.create())["thread_id"]}
    different = {}
    for name in HIDDEN:
        if "{thread_id}" in name and name.count("{") > 1:
            found = [await answer(client, name, named | own) for named in (ids, unknown(ids))]
            if found[0] != found[1]:
                different[name] = found
    for name in ("POST /threads/{thread_id}/runs", "POST /threads/{thread_id}/runs/crons"):
        found = []
        for named in (ids, unknown(ids)):
            body = (CRON if name.endswith("crons") else RUN) | {"assistant_id": named["assistant_id"]}
            found.append(await answer(client, name, named | own, Sample(body)))
        if found[0] != found[1]:
            different[name] = found
    assert different == {}


async def test_an_invalid_body_gets_the_same_response_for_a_hidden_and_an_unknown_id(
    client: httpx.AsyncClient, ann: Client
) -> None:
    ids = await anns(ann)
    different = {}
    for name in HIDDEN:
        if ROUTES[name].body is None and "PATCH" not in name:
            continue
        for body in ("no object", {}, {"metadata": 7, "config": 7, "limit": -1}):
            found = [await answer(client, name, named, Sample(body)) for named in (ids, unknown(ids))]
            if found[0] != found[1]:
                different[name, str(body)] = found
    assert different == {}


async def test_a_checkpoint_of_a_hidden_thread_gets_the_response_of_an_unknown_checkpoint(
    client: httpx.AsyncClient, ann: Client, worker: object
) -> None:
    ids = await anns(ann)
    thread_id = (await ann.threads.create())["thread_id"]
    await ann.runs.wait(thread_id, "greet", input={"text": "hi"})
    known = (await ann.threads.get_state(thread_id))["checkpoint"]["checkpoint_id"]
    ids |= {"thread_id": thread_id}
    asked: dict[str, Any] = {
        "GET /threads/{thread_id}/state/{checkpoint_id}": lambda place: Sample(),
        "POST /threads/{thread_id}/state/checkpoint": lambda place: Sample({"checkpoint": {"checkpoint_id": place}}),
        "POST /threads/{thread_id}/history": lambda place: Sample({"before": place}),
        "GET /threads/{thread_id}/history": lambda place: Sample(query={"before": place}),
        "POST /threads/{thread_id}/state": lambda place: Sample({"values": {}, "checkpoint_id": place}),
        "POST /threads/{thread_id}/runs": lambda place: Sample(RUN | {"checkpoint_id": place}),
        "POST /threads/{thread_id}/runs/wait": lambda place: Sample(RUN | {"checkpoint_id": place}),
        "POST /threads/{thread_id}/runs/stream": lambda place: Sample(RUN | {"checkpoint": {"checkpoint_id": place}}),
    }
    for name, sample in asked.items():
        found = []
        for place, named in ((known, ids), (str(uuid.uuid4()), ids), (known, unknown(ids))):
            found.append(await answer(client, name, named | {"checkpoint_id": place}, sample(place)))
        assert found[0].status == 404, name
        assert found[0] == found[1] == found[2], name


async def test_the_response_for_a_hidden_run_does_not_name_its_thread(client: httpx.AsyncClient, ann: Client) -> None:
    ids = await anns(ann)
    for name in ("GET /runs/{run_id}/stream", "GET /ui/graphs/{graph_id}"):
        sample = Sample(query={"from": ids["run_id"]})
        found = await answer(client, name, {each: ids[each] for each in ("run_id", "graph_id")}, sample)
        assert found.status == 404
        assert ids["thread_id"] not in found.text + str(found.headers)


@dataclass(frozen=True, slots=True)
class Cost:
    """What Redis was asked for one request, and how many bytes it sent. Timers of the server may add to it."""

    commands: Commands
    sent: int

    @property
    def reads_whole(self) -> bool:
        """Whether a whole record was read."""
        return bool(WHOLE & (self.commands.keys() | self.commands.inner.keys()))


WHOLE = {"hgetall", "hvals"}
"""Commands that read a whole record."""


async def cost(url: str, pipeline: Pipeline, client: httpx.AsyncClient, name: str, ids: Mapping[str, str]) -> Cost:
    before = await _sent(pipeline)
    await answer(client, name, ids)
    sent = await _sent(pipeline) - before
    async with count_commands(url, pipeline) as commands:
        await answer(client, name, ids)
    return Cost(commands, sent)


async def _sent(pipeline: Pipeline) -> int:
    stats = (await pipeline.send("INFO", "stats")).decode()
    return int(stats.partition("total_net_output_bytes:")[2].partition("\r")[0])


async def too_dear(url: str, pipeline: Pipeline, client: httpx.AsyncClient, name: str, ids: Mapping[str, str]) -> Any:
    """The costs of a hidden and of an unknown record, if they differ or are large; None if all is well."""
    hidden = await cost(url, pipeline, client, name, ids)
    none = await cost(url, pipeline, client, name, unknown(ids)) if name in HIDDEN else hidden
    fine = not hidden.reads_whole and hidden.sent < SMALL and hidden.commands == none.commands
    return None if fine else (hidden, none)


async def test_a_large_hidden_record_costs_as_much_as_an_unknown_one(
    valkey_url: str, client: httpx.AsyncClient, ann: Client, pipeline: Pipeline, keys: Keys
) -> None:
    """Counted on Redis, not by a clock: the same commands, none that reads a whole record, and few bytes."""
    ids = await large(ann, pipeline, keys)
    wrong = {}
    for name in (*HIDDEN, *sorted(MAY_BE_NEW), "POST /threads", "POST /assistants"):
        for _ in range(TRIES):
            wrong[name] = await too_dear(valkey_url, pipeline, client, name, ids)
            if wrong[name] is None:
                del wrong[name]
                break
    assert wrong == {}


async def test_filters_read_the_metadata_of_records_of_an_earlier_release(
    client: httpx.AsyncClient, ann: Client, bob: Client, pipeline: Pipeline, keys: Keys
) -> None:
    """They lack the fields that filters read."""
    ids = await anns(ann)
    for key in (keys.assistant(ids["assistant_id"]), keys.cron(ids["cron_id"])):
        await pipeline.send("HDEL", key, "members_of_us", "m:owner")
    for name in ("GET /assistants/{assistant_id}", "GET /runs/crons/{cron_id}"):
        assert (await answer(client, name, ids)).status == 404
    assert (await ann.assistants.get(ids["assistant_id"]))["metadata"]["owner"] == "ann"
    found = await client.get(f"/runs/crons/{ids['cron_id']}", headers={"authorization": "Bearer ann-token"})
    assert found.status_code == 200
    await pipeline.send("HSET", keys.assistant(ids["assistant_id"]), "updated_us", "1")  # changed by an earlier release
    assert (await ann.assistants.get(ids["assistant_id"]))["name"] == "hers"


async def test_filters_read_the_metadata_of_the_current_version(
    ann: Client, bob: Client, pipeline: Pipeline, keys: Keys
) -> None:
    made = await ann.assistants.create("greet", metadata={"team": "x", "note": "1"})
    await ann.assistants.update(made["assistant_id"], metadata={"note": "2"})
    key = keys.assistant(made["assistant_id"])
    assert await pipeline.send("HMGET", key, "m:owner", "m:team", "m:note") == [b'"ann"', b'"x"', b'"2"']
    await ann.assistants.set_latest(made["assistant_id"], 1)
    assert await pipeline.send("HMGET", key, "m:owner", "m:team", "m:note") == [b'"ann"', b'"x"', b'"1"']


async def test_the_id_behind_an_idempotency_key_cannot_be_computed(
    client: httpx.AsyncClient, pipeline: Pipeline, keys: Keys
) -> None:
    """The same key, path and body give another id once what is stored of the key is gone."""
    headers = {"authorization": "Bearer ann-token", "idempotency-key": "order-17"}
    first = (await client.post("/threads", json={}, headers=headers)).json()["thread_id"]
    assert (await client.post("/threads", json={}, headers=headers)).json()["thread_id"] == first
    for kept in await pipeline.send("KEYS", keys.idempotency("*")):
        await pipeline.send("DEL", kept)
    assert (await client.post("/threads", json={}, headers=headers)).json()["thread_id"] != first


@pytest.mark.parametrize("path", ["/threads", "/assistants", "/runs/crons", "/runs", "/threads/{}/runs"])
async def test_an_idempotency_key_finds_nothing_of_another_user(
    client: httpx.AsyncClient, ann: Client, path: str
) -> None:
    place = path.format((await ann.threads.create())["thread_id"])
    body = {"/threads": {}, "/assistants": {"graph_id": "greet"}, "/runs/crons": CRON}.get(path, RUN)
    hers = await client.post(place, json=body, headers=_keyed("ann"))
    assert hers.status_code == 200
    his = await client.post(place, json=body, headers=_keyed("bob"))
    if path.startswith("/threads/"):
        assert his.status_code == 404
    else:
        assert his.status_code == 200, "nor does it keep bob from using the same one"
        assert not set(_ids(hers.json())) & set(_ids(his.json()))


def _keyed(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who}-token", "idempotency-key": "one"}


def _ids(record: Mapping[str, Any]) -> list[str]:
    return [record[name] for name in ("thread_id", "run_id", "cron_id") if record.get(name)]


async def test_an_idempotency_key_finds_no_record_that_its_user_lost_access_to(
    client: httpx.AsyncClient, ann: Client, served: Served
) -> None:
    """The same request is repeated after the thread has become bob's."""
    services = served.services
    made = await client.post("/threads", json={}, headers=_keyed("ann"))
    thread_id = made.json()["thread_id"]
    run = await client.post(f"/threads/{thread_id}/runs", json=RUN, headers=_keyed("ann"))
    assert run.status_code == 200
    await services.threads.patch(thread_id, {"owner": "bob"})
    assert (await client.post("/threads", json={}, headers=_keyed("ann"))).status_code == 409
    assert (await client.post(f"/threads/{thread_id}/runs", json=RUN, headers=_keyed("ann"))).status_code == 404


async def test_the_thread_ids_of_a_cron_cannot_be_computed_by_clients(ann: Client, served: Served) -> None:
    """Their ids are derived from something that no client is shown."""
    crons = []
    for _ in range(2):
        made = await ann.crons.create("greet", schedule="0 0 1 1 *", input={})
        crons.append(await served.services.crons.get(made["cron_id"]))
    first, other = crons
    assert first.run_ids(1) == first.run_ids(1)
    assert first.run_ids(1) != replace(first, seed=other.seed).run_ids(1)
    assert first.seed
    assert first.seed not in json.dumps(first.public())


async def test_a_run_that_creates_its_thread_rejects_an_existing_thread(ann: Client, served: Served) -> None:
    thread_id = (await ann.threads.create())["thread_id"]
    submission = served.services.submission
    with pytest.raises(Conflict):
        await submission.submit(new_run(thread_id, graph_id="greet", create_thread=True, own_thread=True))
    run = await submission.submit(new_run(new_id(), graph_id="greet", create_thread=True, own_thread=True))
    assert run.status == "pending"
