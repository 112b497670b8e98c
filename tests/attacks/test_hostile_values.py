"""Wrong types, odd numbers, patterns, line breaks and path tricks in every field, path, query and header of every route
and in every command: each is rejected or stored as data. None causes a server error, becomes a header of the response,
or reaches a record of another user."""

from __future__ import annotations

import asyncio
import json
from itertools import count, islice
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from slipway.execution.frames import frame
from tests.attacks.hostile_values import ALL_LITERALS, TEXTS, field_paths, with_literal
from tests.attacks.rows import ANY_IDS, COMMANDS, ROUTES, create_one_of_each, sample_of, send, short_sample_of
from tests.auth.conftest import Client
from tests.auth.samples import Sample
from tests.auth.test_event_protocol import socket_of
from tests.http.conftest import Served

CONCURRENT = 8
"""Requests that are sent at the same time."""
VALUES_PER_FIELD = 3
"""The number of values for each field of each route. The values rotate, so that all are used."""
PATHS = (
    *("%2e%2e", "..%2f..", "..%2f..%2fok", "%2fok", "%00", "a%00b", "%0d%0aset-cookie:%20a=b", "%ff%fe"),
    *("%25%32%65", ";a=b", "*", "%7b0%7d", "x" * 3000, "%F0%9D%95%8F", "NaN", "-1", "null", "%20", "a%5cb"),
)
HEADERS = (
    *("last-event-id", "idempotency-key", "x-request-id", "prefer", "accept", "accept-encoding", "content-type"),
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "range", "if-none-match", "user-agent"),
)
VALUES = (
    "",
    "*",
    "a" * 300,
    "1-1-1",
    "99999999999999999999-0",
    "-1",
    "%ff%fe",
    "a, b;q=NaN",
    "[1",
    "{}",
    "%0d%0aa: b",
)

Faults = dict[tuple[Any, ...], Any]


async def send_all(requests: list[Any]) -> None:
    """Await the requests, `CONCURRENT` at a time."""
    remaining = iter(requests)
    while batch := list(islice(remaining, CONCURRENT)):
        await asyncio.gather(*batch)


def fault_of(response: httpx.Response) -> str | None:
    """The fault of a response: a server error or an injected header. None if it has neither."""
    if response.status_code >= 500:
        return f"{response.status_code}: {response.text[:200]}"
    if "set-cookie" in response.headers:
        return "a header was injected"
    return None


async def test_no_value_of_a_field_causes_a_server_error(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    faults: Faults = {}
    numbers = count()

    async def send_one(name: str, ids: dict[str, str], path_of_field: tuple[Any, ...], literal: str) -> None:
        body = short_sample_of(name, ids)[0].body
        is_batch = isinstance(body, list)
        content = with_literal(body[0] if is_batch else body or {}, path_of_field, literal)
        response = await send(
            client, name, ids, "ann", content=b"[%b]" % content if is_batch and path_of_field else content
        )
        if fault := fault_of(response):
            faults[name, path_of_field, literal[:80]] = fault

    for name, route in ROUTES.items():
        ids = await create_one_of_each(ann)
        body = sample_of(name, ids).body
        if body is None:
            continue
        fields_of_sample = body[0] if isinstance(body, list) else body
        fields = [(), *(field_paths(route.body) if route.body else ((field,) for field in fields_of_sample))]
        await send_all(
            [
                send_one(name, ids, path_of_field, ALL_LITERALS[next(numbers) % len(ALL_LITERALS)])
                for path_of_field in fields
                for _ in range(VALUES_PER_FIELD)
            ]
        )
    assert faults == {}


async def test_no_query_causes_a_server_error(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    faults: Faults = {}
    ids = await create_one_of_each(ann)
    numbers = count()
    for name, route in ROUTES.items():
        for query in route.query:
            for _ in range(VALUES_PER_FIELD):
                text = TEXTS[next(numbers) % len(TEXTS)][:2000]
                sample, short_ids = short_sample_of(name, ids)
                response = await send(
                    client, name, short_ids, "ann", Sample(sample.body, sample.query | {query.name: text})
                )
                if fault := fault_of(response):
                    faults[name, query.name, text[:80]] = fault
                if name.startswith("DELETE"):
                    ids = await create_one_of_each(ann)
    assert faults == {}


async def test_no_path_reaches_another_route_or_record(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    """A text in path_of_field of an id is no id, and another spelling of an id still names the record of ann."""
    faults: Faults = {}
    numbers, ids = count(), await create_one_of_each(ann)
    spelled = {name: value.upper() for name, value in ids.items() if len(value) == len(ids["thread_id"])}
    for name, route in ROUTES.items():
        for parameter in [each for each in ids if f"{{{each}" in route.path]:
            marked = route.path.replace(":path", "").format(**ids | {parameter: "MARK"})
            for trick in [PATHS[next(numbers) % len(PATHS)] for _ in range(VALUES_PER_FIELD)]:
                response = await send(client, name, ids, "ann", path=marked.replace("MARK", trick))
                is_expected = response.status_code in (200, 307, 400, 404, 405, 422)
                if fault_of(response) or not is_expected:
                    faults[name, trick[:40]] = (response.status_code, response.text[:100])
        if "_id}" in route.path and not route.path.endswith("/subgraphs/{namespace:path}"):
            upper_case = await send(client, name, ids | spelled, "bob")
            lower_case = await send(client, name, ids, "bob")
            if upper_case.status_code != lower_case.status_code:
                faults[name, "upper case"] = (upper_case.status_code, lower_case.status_code)
    assert faults == {}


@pytest.mark.parametrize(
    "path", ["..%2fserver.py", "%2e%2e/%2e%2e/site.py", "..\\site.py", "%00", "//etc/passwd", "~root"]
)
async def test_static_files_come_only_from_their_folder(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/ui/static/{path}")).status_code in (400, 404)


async def test_no_header_causes_a_server_error_or_is_returned(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    faults: Faults = {}
    ids = await create_one_of_each(ann)
    for name in ROUTES:
        sample, short_ids = short_sample_of(name, ANY_IDS if name.startswith("DELETE") else ids)
        for shift in range(VALUES_PER_FIELD):
            sent = {header: VALUES[(index + shift) % len(VALUES)] for index, header in enumerate(HEADERS)}
            response = await send(client, name, short_ids, "ann", sample, headers=sent)
            if fault := fault_of(response):
                faults[name, shift] = fault
    assert faults == {}


async def response_to(socket: ClientConnection, sent: str) -> Any:
    """The response to a frame. Skips events."""
    await socket.send(sent)
    while True:
        received = orjson.loads(await socket.recv())
        if received["type"] != "event":
            return received


async def test_every_frame_gets_a_response(served: Served, ann: Client) -> None:
    """The WebSocket stays open whatever the frame is. An error frame has a code of the protocol."""
    ids = await create_one_of_each(ann)
    types = set()
    thread = (await ann.threads.create())["thread_id"]  # no run of it delays a response
    async with socket_of(served, thread, "ann") as socket:
        for literal in ALL_LITERALS:
            types.add((await response_to(socket, literal))["type"])
            for path_of_field in ("id", "method", "params"):
                types.add(
                    (
                        await response_to(
                            socket, with_literal({"id": 1, "method": "x"}, (path_of_field,), literal).decode()
                        )
                    )["type"]
                )
        assert types == {"error"}
        numbers = count()
        for method, command in COMMANDS.items():
            for field in (
                "assistant_id",
                "input",
                "config",
                "metadata",
                "interrupt_id",
                "responses",
                "run_id",
                "since",
            ):
                literal = ALL_LITERALS[next(numbers) % len(ALL_LITERALS)]
                params = command.params(ids) if method != "run.start" else {"assistant_id": "none"}
                frame_ = with_literal({"id": 1, "method": method, "params": params}, ("params", field), literal)
                found = await response_to(socket, frame_.decode())
                assert found["type"] in ("success", "error"), (method, field, literal)
                assert found.get("error") != "unknown_error", (method, field, literal, found)
        last = await response_to(socket, json.dumps(COMMANDS["subscription.subscribe"].frame(ids, 7)))
        assert (last["type"], last["id"]) == ("success", 7)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x00", "\n\n"])
def test_an_event_name_of_a_graph_stays_one_line(end: str) -> None:
    """The name of a node may contain a text that a user sent."""
    name, sent = frame(f"values|a{end}event: end{end}data: 1", {"a": f"b{end}event: end"})
    assert sent.startswith(b"event: %b\r\ndata: " % name.encode())
    assert sent.count(b"\n") == sent.count(b"\r") == 2
