"""Every field of every body and every parameter of every query, with values of a wrong type and values too large for
their type: the response is a client error that names the field, never 500."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

import httpx
import pytest

from slipway.access.users import User
from slipway.api.bodies.events import CommandFrame
from slipway.api.endpoints import Endpoint
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.transport import InProcessTransport
from slipway.api.metrics_page import MetricsPage
from slipway.metrics.scripts import MetricsScripts
from slipway.redis.per_shard import PerShard
from tests.attacks.rows import COMMANDS, LONG_RESPONSES, ROUTES, create_one_of_each, sample_of, send
from tests.auth.conftest import Client
from tests.auth.samples import Sample
from tests.http.conftest import Served

VALUES: Final = {
    "object": {"a": []},
    "array": [[]],
    "integer": -(10**18),
    "number": 1.5,
    "boolean": True,
    "string": "\u0000",
}
"""A value of each type of JSON; each is wrong for the fields of the other types."""
LARGE: Final = ("9" * 400, "1e400", "-1", '"\\ud800"')
"""Valid JSON that some parsers cannot represent."""
ODD_VALUES: Final[list[Any]] = [[], {}, [[]], {"a": []}, -1, 1.5, True, "", "\u0000", 10**18]
ODD_FIELDS: Final[list[tuple[str, Any]]] = [
    (path, value)
    for path in (
        *("config.configurable.priority", "config.configurable.ceilings", "config.configurable.ceilings.max_steps"),
        *("config.configurable.thread_id", "config.configurable.checkpoint_id", "config.configurable.checkpoint_ns"),
        *("metadata.owner", "checkpoint.checkpoint_map.a"),
    )
    for value in ODD_VALUES
]
"""Values for fields inside objects of any shape."""
ANY_JSON: Final = {"input", "resume", "update", "value", "values", "response", "before"}
"""Fields that accept any JSON, at least in part."""
CONCURRENT: Final = 16

BODIES: dict[str, Endpoint] = {
    route.body.__name__: route
    for name, route in ROUTES.items()
    if route.body not in (None, CommandFrame) and name not in LONG_RESPONSES
}
"""One route for each kind of body, by the name of the body. Parsing a body does not depend on the route."""


def fields(
    schema: dict[str, Any], whole_schema: dict[str, Any], depth: int = 3
) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The path of every field below an object, with the types that it accepts."""
    for name, field in schema.get("properties", {}).items():
        forms = [_resolved(form, whole_schema) for form in field.get("anyOf", [field])]
        types = {str(form["type"]) for form in forms if "type" in form}
        if types and not any(form == {} for form in forms):
            yield (name,), types
        if depth > 1:
            for form in forms:
                yield from (((name, *path), found) for path, found in fields(form, whole_schema, depth - 1))


def _resolved(form: dict[str, Any], whole_schema: dict[str, Any]) -> dict[str, Any]:
    reference = form.get("$ref")
    found: dict[str, Any] = form if reference is None else whole_schema["$defs"][reference.rpartition("/")[2]]
    return found | {"type": "string"} if "enum" in found or "const" in found else found


def with_field(body: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of a body with this value at this path."""
    changed = copy.deepcopy(body) if isinstance(body, dict) else {}
    inner = changed
    for name in path[:-1]:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    inner[path[-1]] = value
    return changed


class Requests:
    """Sends the requests of one test, several at a time, and collects wrong responses."""

    def __init__(self, client: httpx.AsyncClient, ids: dict[str, str]) -> None:
        self._client, self.ids, self._slots = client, ids, asyncio.Semaphore(CONCURRENT)
        self.wrong: dict[str, str] = {}
        self.count = 0

    async def send_body(self, name: str, content: str, field: str | None) -> None:
        """Send a body. `field` must be named by the error; None if the value can be valid."""
        async with self._slots:
            response = await send(self._client, name, self.ids, "ann", content=content.encode())
        self._check(f"{name} {content[:200]}", response, field)

    async def send_query(self, name: str, sample: Sample, field: str) -> None:
        """Send a query. If it is rejected, the error must name `field`."""
        async with self._slots:
            response = await send(self._client, name, self.ids, "ann", sample)
        self._check(f"{name} {sample.query}", response, field if response.status_code == 422 else None)

    def _check(self, request: str, response: httpx.Response, field: str | None) -> None:
        self.count += 1
        text = response.text if response.is_stream_consumed else ""
        error = response.json() if response.status_code == 422 else {}
        is_named = field is None or (error.get("field") or "-").startswith((field, field.rstrip("s")))
        if response.status_code >= 500 or not is_named:
            self.wrong[request] = f"{response.status_code} {text[:300]}"


@pytest.fixture
async def requests(served: Served, ann: Client) -> AsyncIterator[Requests]:
    """Requests of ann on her records, in process."""
    state = {
        "services": served.services,
        "responses_in_progress": served.app.state.responses_in_progress,
        "metrics": MetricsPage(
            PerShard(served.services.shards, partial(MetricsScripts, served.services.pipeline)),
            served.services.metrics_publication,
            served.services.health,
            (),
        ),
    }
    app = InProcessApp(served.app, state, User({"identity": "ann", "permissions": ["desk"]}))
    async with httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://api") as client:
        yield Requests(client, await create_one_of_each(ann))


@pytest.mark.parametrize("kind_of_body", sorted(BODIES))
async def test_the_error_names_a_field_of_a_wrong_type(requests: Requests, kind_of_body: str) -> None:
    route = BODIES[kind_of_body]
    name, model = next(name for name, each in ROUTES.items() if each is route), route.body
    assert model is not None
    schema = model.model_json_schema()
    good = sample_of(name, requests.ids).body
    batch = isinstance(good, list)
    body = good[0] if batch else good
    sending = []
    for path, types in fields(schema, schema):
        if ANY_JSON & set(path):
            continue
        for kind, value in VALUES.items():
            is_accepted = kind in types or (kind == "integer" and "number" in types)
            sent = with_field(body, path, value)
            sending.append(
                requests.send_body(name, json.dumps([sent] if batch else sent), None if is_accepted else path[0])
            )
        for text in LARGE:
            content = json.dumps(with_field(body, path, "HERE")).replace('"HERE"', text)
            sending.append(requests.send_body(name, f"[{content}]" if batch else content, None))
    for odd, value in ODD_FIELDS:
        sent = with_field(body, tuple(odd.split(".")), value)
        sending.append(requests.send_body(name, json.dumps([sent] if batch else sent), None))
    for content in ("", "null", "[]", "{}", "1", '"x"', "[1]", "[[]]", "{", "\ufeff{}", '{"a":NaN}'):
        sending.append(requests.send_body(name, content, None))
    await asyncio.gather(*sending)
    assert requests.wrong == {}
    assert requests.count == len(sending)


async def test_the_error_names_a_parameter_of_a_wrong_type(requests: Requests) -> None:
    sending = []
    for name, route in ROUTES.items():
        for query in route.query:
            for text in (
                "[",
                "{}",
                "-1",
                "1.5",
                "9" * 40,
                "\u0000",
                "\ud800".encode("utf-8", "replace").decode(),
                "é",
                "[[]]",
            ):
                sample = sample_of(name, requests.ids)
                changed = replace(sample, query=sample.query | {query.name: text})
                sending.append(requests.send_query(name, changed, query.name))
    await asyncio.gather(*sending)
    assert requests.wrong == {}
    assert requests.count > 100


async def test_the_error_names_an_invalid_priority(client: httpx.AsyncClient, ann: Client) -> None:
    """For a run, a cron and an assistant."""
    headers = {"authorization": "Bearer ann-token"}
    thread = (await ann.threads.create())["thread_id"]
    for value in ([], {}, ["high"], {"high": 1}, 1, True, "", "urgent"):
        config = {"configurable": {"priority": value}}
        for path in ("/runs", "/runs/wait", "/runs/stream", f"/threads/{thread}/runs", "/runs/crons", "/assistants"):
            body = {"schedule": "0 0 1 1 *", "config": config, "input": {}}
            body |= {"graph_id": "greet"} if path == "/assistants" else {"assistant_id": "greet"}
            response = await client.post(path, json=body, headers=headers)
            error = response.json()
            assert (response.status_code, error.get("field")) == (422, "config.configurable.priority"), (path, value)


@pytest.mark.parametrize("method", sorted(name for name, command in COMMANDS.items() if command.posted))
async def test_a_command_with_parameters_of_wrong_types_is_rejected(requests: Requests, method: str) -> None:
    good = COMMANDS[method].frame(requests.ids)
    frames = [with_field(good, (name,), value) for name in good for value in (*VALUES.values(), [], {}, None, "")]
    names = (*good["params"], "config", "metadata", "namespace", "multitaskStrategy")
    frames += [
        with_field(good, ("params", name), value) for name in names for value in VALUES.values() if name not in ANY_JSON
    ]
    name = "POST /threads/{thread_id}/commands"
    await asyncio.gather(*(requests.send_body(name, json.dumps(frame), None) for frame in frames))
    assert requests.wrong == {}
