"""Wrong types, odd numbers, patterns, line ends and path tricks, in every field, path, query and header of every route
and in every command: each is refused or is data, never a fault of the server, a header of the answer, or somebody
else's record."""

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
from tests.attacks.hostile_values import EVERYTHING, WORDS, literal_in, places
from tests.attacks.rows import ANY_IDS, COMMANDS, ROUTES, ending, one_of_everything, sample_of, send
from tests.auth.conftest import Client
from tests.auth.samples import Sample
from tests.auth.test_event_protocol import socket_of
from tests.http.conftest import Served

TOGETHER = 8
"""Requests at the same time."""
OF_EACH = 3
"""Values that each field of each route gets. The values go around, so that each kind of field gets them all."""
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

Answers = dict[tuple[Any, ...], Any]


async def all_of(requests: list[Any]) -> None:
    """A few at a time."""
    left = iter(requests)
    while batch := list(islice(left, TOGETHER)):
        await asyncio.gather(*batch)


def fault_of(answer: httpx.Response) -> str | None:
    """What is wrong with an answer, whatever was asked."""
    if answer.status_code >= 500:
        return f"{answer.status_code}: {answer.text[:200]}"
    if "set-cookie" in answer.headers:
        return "a header was injected"
    return None


async def test_no_value_of_a_field_causes_a_server_error(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    faults: Answers = {}
    numbers = count()

    async def one(name: str, ids: dict[str, str], place: tuple[Any, ...], literal: str) -> None:
        body = ending(name, ids)[0].body
        many = isinstance(body, list)
        content = literal_in(body[0] if many else body or {}, place, literal)
        answer = await send(client, name, ids, "ann", content=b"[%b]" % content if many and place else content)
        if fault := fault_of(answer):
            faults[name, place, literal[:80]] = fault

    for name, route in ROUTES.items():
        ids = await one_of_everything(ann)
        body = sample_of(name, ids).body
        if body is None:
            continue
        known = body[0] if isinstance(body, list) else body
        fields = [(), *(places(route.body) if route.body else ((field,) for field in known))]
        await all_of(
            [
                one(name, ids, place, EVERYTHING[next(numbers) % len(EVERYTHING)])
                for place in fields
                for _ in range(OF_EACH)
            ]
        )
    assert faults == {}


async def test_no_query_causes_a_server_error(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    faults: Answers = {}
    ids = await one_of_everything(ann)
    numbers = count()
    for name, route in ROUTES.items():
        for query in route.query:
            for _ in range(OF_EACH):
                word = WORDS[next(numbers) % len(WORDS)][:2000]
                given, asked = ending(name, ids)
                answer = await send(client, name, asked, "ann", Sample(given.body, given.query | {query.name: word}))
                if fault := fault_of(answer):
                    faults[name, query.name, word[:80]] = fault
                if name.startswith("DELETE"):
                    ids = await one_of_everything(ann)
    assert faults == {}


async def test_no_path_reaches_another_route_or_record(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    """What is put in place of an id is no id, and what is spelled in another way is still ann's."""
    faults: Answers = {}
    numbers, ids = count(), await one_of_everything(ann)
    spelled = {name: value.upper() for name, value in ids.items() if len(value) == len(ids["thread_id"])}
    for name, route in ROUTES.items():
        for parameter in [each for each in ids if f"{{{each}" in route.path]:
            marked = route.path.replace(":path", "").format(**ids | {parameter: "MARK"})
            for trick in [PATHS[next(numbers) % len(PATHS)] for _ in range(OF_EACH)]:
                answer = await send(client, name, ids, "ann", path=marked.replace("MARK", trick))
                fine = answer.status_code in (200, 307, 400, 404, 405, 422)
                if fault_of(answer) or not fine:
                    faults[name, trick[:40]] = (answer.status_code, answer.text[:100])
        if "_id}" in route.path and not route.path.endswith("/subgraphs/{namespace:path}"):
            other = await send(client, name, ids | spelled, "bob")
            same = await send(client, name, ids, "bob")
            if other.status_code != same.status_code:
                faults[name, "upper case"] = (other.status_code, same.status_code)
    assert faults == {}


@pytest.mark.parametrize(
    "path", ["..%2fserver.py", "%2e%2e/%2e%2e/site.py", "..\\site.py", "%00", "//etc/passwd", "~root"]
)
async def test_static_files_come_only_from_their_folder(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/ui/static/{path}")).status_code in (400, 404)


async def test_no_header_causes_a_server_error_or_is_returned(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    faults: Answers = {}
    ids = await one_of_everything(ann)
    for name in ROUTES:
        sample, asked = ending(name, ANY_IDS if name.startswith("DELETE") else ids)
        for shift in range(OF_EACH):
            sent = {header: VALUES[(at + shift) % len(VALUES)] for at, header in enumerate(HEADERS)}
            answer = await send(client, name, asked, "ann", sample, headers=sent)
            if fault := fault_of(answer):
                faults[name, shift] = fault
    assert faults == {}


async def answer_of(socket: ClientConnection, sent: str) -> Any:
    """The answer to a frame, past the events."""
    await socket.send(sent)
    while True:
        found = orjson.loads(await socket.recv())
        if found["type"] != "event":
            return found


async def test_every_frame_gets_a_response(served: Served, ann: Client) -> None:
    """Whatever a command is like, the socket goes on; what is no success says so with a code of the protocol."""
    ids = await one_of_everything(ann)
    codes = set()
    thread = (await ann.threads.create())["thread_id"]  # in which no run keeps an answer waiting
    async with socket_of(served, thread, "ann") as socket:
        for literal in EVERYTHING:
            codes.add((await answer_of(socket, literal))["type"])
            for place in ("id", "method", "params"):
                codes.add(
                    (await answer_of(socket, literal_in({"id": 1, "method": "x"}, (place,), literal).decode()))["type"]
                )
        assert codes == {"error"}
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
                literal = EVERYTHING[next(numbers) % len(EVERYTHING)]
                params = command.params(ids) if method != "run.start" else {"assistant_id": "none"}
                frame_ = literal_in({"id": 1, "method": method, "params": params}, ("params", field), literal)
                found = await answer_of(socket, frame_.decode())
                assert found["type"] in ("success", "error"), (method, field, literal)
                assert found.get("error") != "unknown_error", (method, field, literal, found)
        last = await answer_of(socket, json.dumps(COMMANDS["subscription.subscribe"].frame(ids, 7)))
        assert (last["type"], last["id"]) == ("success", 7)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x00", "\n\n"])
def test_an_event_name_of_a_graph_stays_one_line(end: str) -> None:
    """A node may be called by a text that a user sent."""
    name, sent = frame(f"values|a{end}event: end{end}data: 1", {"a": f"b{end}event: end"})
    assert sent.startswith(b"event: %b\r\ndata: " % name.encode())
    assert sent.count(b"\n") == sent.count(b"\r") == 2
