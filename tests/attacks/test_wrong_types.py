"""Every field of every body, and every parameter of every query, with a value of a wrong type, and with one that is too
large for its type: an answer of the client's kind that names the field, never a 500."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest

from slipway.access.users import User
from slipway.api.bodies.events import CommandFrame
from slipway.api.endpoints import Endpoint
from slipway.api.in_process_client.app import InProcessApp
from slipway.api.in_process_client.transport import InProcessTransport
from slipway.api.metrics import HttpMetrics
from tests.attacks.rows import COMMANDS, HELD_OPEN, ROUTES, one_of_everything, sample_of, send
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
"""JSON that parses, but not into what it says everywhere."""
ODD_VALUES: Final[list[Any]] = [[], {}, [[]], {"a": []}, -1, 1.5, True, "", "\u0000", 10**18]
ODD: Final[list[tuple[str, Any]]] = [
    (path, value)
    for path in (
        *("config.configurable.priority", "config.configurable.ceilings", "config.configurable.ceilings.max_steps"),
        *("config.configurable.thread_id", "config.configurable.checkpoint_id", "config.configurable.checkpoint_ns"),
        *("metadata.owner", "checkpoint.checkpoint_map.a"),
    )
    for value in ODD_VALUES
]
"""Fields inside of those that may be anything."""
FREE: Final = {"input", "resume", "update", "value", "values", "response", "before"}
"""Fields that take any JSON, at least in part."""
AT_ONCE: Final = 16

BODIES: dict[str, Endpoint] = {
    route.body.__name__: route
    for name, route in ROUTES.items()
    if route.body not in (None, CommandFrame) and name not in HELD_OPEN
}
"""A route for each kind of body, by its name: how a body is read does not depend on the route."""


def fields(
    schema: dict[str, Any], all_of_it: dict[str, Any], depth: int = 3
) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The path of every field below an object, with the types that it takes."""
    for name, field in schema.get("properties", {}).items():
        forms = [_resolved(form, all_of_it) for form in field.get("anyOf", [field])]
        types = {str(form["type"]) for form in forms if "type" in form}
        if types and not any(form == {} for form in forms):
            yield (name,), types
        if depth > 1:
            for form in forms:
                yield from (((name, *path), found) for path, found in fields(form, all_of_it, depth - 1))


def _resolved(form: dict[str, Any], all_of_it: dict[str, Any]) -> dict[str, Any]:
    reference = form.get("$ref")
    found: dict[str, Any] = form if reference is None else all_of_it["$defs"][reference.rpartition("/")[2]]
    return found | {"type": "string"} if "enum" in found or "const" in found else found


def with_field(body: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of a body in which a field is this."""
    found = copy.deepcopy(body) if isinstance(body, dict) else {}
    inner = found
    for name in path[:-1]:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    inner[path[-1]] = value
    return found


class Attempts:
    """Requests of one test, several at a time, and what was wrong with their answers."""

    def __init__(self, client: httpx.AsyncClient, ids: dict[str, str]) -> None:
        self._client, self.ids, self._room = client, ids, asyncio.Semaphore(AT_ONCE)
        self.wrong: dict[str, str] = {}
        self.count = 0

    async def body(self, name: str, content: str, field: str | None) -> None:
        """One request; `field` is what a refusal has to name, None where the value may be fine."""
        async with self._room:
            answer = await send(self._client, name, self.ids, "ann", content=content.encode())
        self._judge(f"{name} {content[:200]}", answer, field)

    async def query(self, name: str, sample: Sample, field: str) -> None:
        """The same for a parameter of the query."""
        async with self._room:
            answer = await send(self._client, name, self.ids, "ann", sample)
        self._judge(f"{name} {sample.query}", answer, field if answer.status_code == 422 else None)

    def _judge(self, what: str, answer: httpx.Response, field: str | None) -> None:
        self.count += 1
        told = answer.text if answer.is_stream_consumed else ""
        refused = answer.json() if answer.status_code == 422 else {}
        named = field is None or (refused.get("field") or "-").startswith((field, field.rstrip("s")))
        if answer.status_code >= 500 or not named:
            self.wrong[what] = f"{answer.status_code} {told[:300]}"


@pytest.fixture
async def attempts(served: Served, ann: Client) -> AsyncIterator[Attempts]:
    """By ann, on what is hers, without a network."""
    state = {
        "services": served.services,
        "responses_in_progress": served.app.state.responses_in_progress,
        "metrics": HttpMetrics(),
    }
    app = InProcessApp(served.app, state, User({"identity": "ann", "permissions": ["desk"]}))
    async with httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://api") as client:
        yield Attempts(client, await one_of_everything(ann))


@pytest.mark.parametrize("kind_of_body", sorted(BODIES))
async def test_the_error_names_a_field_of_a_wrong_type(attempts: Attempts, kind_of_body: str) -> None:
    route = BODIES[kind_of_body]
    name, model = next(name for name, each in ROUTES.items() if each is route), route.body
    assert model is not None
    whole = model.model_json_schema()
    good = sample_of(name, attempts.ids).body
    batch = isinstance(good, list)
    one = good[0] if batch else good
    asked = []
    for path, types in fields(whole, whole):
        if FREE & set(path):
            continue
        for kind, value in VALUES.items():
            takes = kind in types or (kind == "integer" and "number" in types)
            sent = with_field(one, path, value)
            asked.append(attempts.body(name, json.dumps([sent] if batch else sent), None if takes else path[0]))
        for text in LARGE:
            content = json.dumps(with_field(one, path, "HERE")).replace('"HERE"', text)
            asked.append(attempts.body(name, f"[{content}]" if batch else content, None))
    for odd, value in ODD:
        sent = with_field(one, tuple(odd.split(".")), value)
        asked.append(attempts.body(name, json.dumps([sent] if batch else sent), None))
    for content in ("", "null", "[]", "{}", "1", '"x"', "[1]", "[[]]", "{", "\ufeff{}", '{"a":NaN}'):
        asked.append(attempts.body(name, content, None))
    await asyncio.gather(*asked)
    assert attempts.wrong == {}
    assert attempts.count == len(asked)


async def test_the_error_names_a_parameter_of_a_wrong_type(attempts: Attempts) -> None:
    asked = []
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
                sample = sample_of(name, attempts.ids)
                changed = replace(sample, query=sample.query | {query.name: text})
                asked.append(attempts.query(name, changed, query.name))
    await asyncio.gather(*asked)
    assert attempts.wrong == {}
    assert attempts.count > 100


async def test_the_error_names_an_invalid_priority(client: httpx.AsyncClient, ann: Client) -> None:
    """Wherever it is given: for a run, a cron, or an assistant."""
    headers = {"authorization": "Bearer ann-token"}
    thread = (await ann.threads.create())["thread_id"]
    for value in ([], {}, ["high"], {"high": 1}, 1, True, "", "urgent"):
        config = {"configurable": {"priority": value}}
        for path in ("/runs", "/runs/wait", "/runs/stream", f"/threads/{thread}/runs", "/runs/crons", "/assistants"):
            body = {"schedule": "0 0 1 1 *", "config": config, "input": {}}
            body |= {"graph_id": "greet"} if path == "/assistants" else {"assistant_id": "greet"}
            answer = await client.post(path, json=body, headers=headers)
            told = answer.json()
            assert (answer.status_code, told.get("field")) == (422, "config.configurable.priority"), (path, value)


@pytest.mark.parametrize("method", sorted(name for name, command in COMMANDS.items() if command.posted))
async def test_a_command_with_parameters_of_wrong_types_is_rejected(attempts: Attempts, method: str) -> None:
    good = COMMANDS[method].frame(attempts.ids)
    frames = [with_field(good, (name,), value) for name in good for value in (*VALUES.values(), [], {}, None, "")]
    names = (*good["params"], "config", "metadata", "namespace", "multitaskStrategy")
    frames += [
        with_field(good, ("params", name), value) for name in names for value in VALUES.values() if name not in FREE
    ]
    name = "POST /threads/{thread_id}/commands"
    await asyncio.gather(*(attempts.body(name, json.dumps(frame), None) for frame in frames))
    assert attempts.wrong == {}
