"""Bodies that could cost more than their bytes: nested, wide, many-keyed, or longer than the limit. Limits are checked
before a body is used, and no body delays the requests of other clients."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from slipway.api.request_parsing import parsed
from slipway.errors import InvalidRequest
from slipway.serialization.json_depth import exceeds_depth
from slipway.serialization.json_encoding import DEEPEST
from tests.attacks.hostile_values import with_literal
from tests.attacks.rows import ANY_IDS, COMMANDS, WITH_BODY, create_one_of_each, sample_of, send
from tests.auth.conftest import Client
from tests.auth.test_event_protocol import socket_of
from tests.http.conftest import Served

TOO_DEEP = "[" * DEEPEST + "]" * DEEPEST
"""One level too many inside an object."""
FAR_TOO_DEEP = "[" * 30_000 + "]" * 30_000
BYTES = 1_000_000
MAX_COST = 5
"""A body may take so many times the CPU time of parsing its JSON."""


def wide(unit: str) -> bytes:
    """A list of about `BYTES` bytes."""
    return f"[{','.join([unit] * (BYTES // (len(unit) + 1)))}]".encode()


SHAPES = {
    "lists": wide("[]"),
    "objects": wide("{}"),
    "chains": wide("[" * 150 + "]" * 150),
    "texts in lists": wide('[""]'),
    "escaped quotes": wide(r'["\""]'),
    "lists, and one lone surrogate": rb'["\udc00",' + wide("[]") + b"]",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_checking_a_body_costs_about_as_much_as_parsing_it(shape: str) -> None:
    body = SHAPES[shape]
    assert parsed(body)
    readable = body.replace(rb"\udc00", rb"\u0064")
    assert cpu_s(lambda: parsed(body)) < MAX_COST * cpu_s(lambda: orjson.loads(readable))


def cpu_s(work: Callable[[], Any]) -> float:
    """The least CPU time of three calls, in seconds, without the garbage collector."""
    measured = []
    gc.disable()
    try:
        for _ in range(3):
            start_s = time.process_time()
            work()
            measured.append(time.process_time() - start_s)
    finally:
        gc.enable()
    return min(measured)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("1", 0),
        ('["[[["]', 1),
        ("[]", 1),
        ('[{"a":[]},[[1]]]', 3),
        (r'["\\",[["]"]]]', 3),
        (r'["\"[[[",{"]":{}}]', 3),
        (r'["\\\"[[",[],{"\\":[1]}]', 3),
        ('{"a":1,"b":{"c":[{"d":"[["}]}}', 4),
    ],
)
def test_only_brackets_outside_strings_are_levels(text: str, levels: int) -> None:
    assert not exceeds_depth(text.encode(), orjson.loads(text), levels)
    assert levels == 0 or exceeds_depth(text.encode(), orjson.loads(text), levels - 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud800"', "\ufffd"),
        (r'"\uDC00\uD800x"', "\ufffd\ufffdx"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\ud800\ud83d\ude00\udc00"', "\ufffd\U0001f600\ufffd"),
        (r'"\\ud800\ud800"', "\\ud800\ufffd"),
        (r'"\\\ud800\udc00\\\udc00"', "\\\U00010000\\\ufffd"),
        (r'"\\ud800\udc00"', "\\ud800\ufffd"),
        (r'{"\udfff":["\udbff"]}', {"\ufffd": ["\ufffd"]}),
    ],
)
def test_only_lone_surrogates_are_replaced(text: str, value: Any) -> None:
    assert parsed(text.encode()) == value


@pytest.mark.parametrize("text", [r'{"a":"\ud800"', r'["\ud800",NaN]', r'["\ud800",1e999]', '["\\ud800","\0"]', "\0"])
def test_malformed_json_with_surrogates_is_rejected(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON"):
        parsed(text.encode())


async def test_no_route_accepts_a_body_that_is_nested_too_deeply(
    served: Served, client: httpx.AsyncClient, ann: Client
) -> None:
    ids, results = await create_one_of_each(ann), {}
    for name in sorted(WITH_BODY):
        for literal in (TOO_DEEP, FAR_TOO_DEEP):
            body = with_literal(sample_of(name, ids).body or {}, ("metadata", "x"), literal)
            response = await send(client, name, ids, "ann", content=body)
            is_rejected = response.status_code in (400, 422)
            results[name, len(literal)] = (is_rejected, "detail" in response.json() or response.json())
    assert results == dict.fromkeys(results, (True, True))


async def test_no_route_accepts_a_body_over_the_limit(served: Served, client: httpx.AsyncClient, ann: Client) -> None:
    ids, statuses = await create_one_of_each(ann), {}
    large = b'{"x":"' + b"x" * served.services.settings.max_body_bytes + b'"}'
    for name in sorted(WITH_BODY):
        statuses[name] = (await send(client, name, ids, "ann", content=large)).status_code
    assert statuses == dict.fromkeys(statuses, 413)


async def test_many_keys_are_stored_unchanged(served: Served, ann: Client) -> None:
    """In the metadata of a thread and in a store item."""
    many = {f"k{number}": number for number in range(20_000)}
    thread = (await ann.threads.create(metadata=many))["thread_id"]
    stored = (await ann.threads.get(thread))["metadata"]
    assert {name: stored[name] for name in many} == many
    await ann.store.put_item(["many"], "k", many)
    assert (await ann.store.get_item(["many"], "k"))["value"] == many
    assert len(json.dumps(many)) < served.services.settings.max_body_bytes


async def test_a_frame_that_is_nested_too_deeply_is_rejected(served: Served, ann: Client) -> None:
    thread = (await ann.threads.create())["thread_id"]
    async with socket_of(served, thread, "ann") as socket:
        for literal in (TOO_DEEP, FAR_TOO_DEEP):
            for name, command in COMMANDS.items():
                sent = with_literal(command.frame(ANY_IDS), ("params", "x"), literal)
                await socket.send(sent.decode())
                error = json.loads(await socket.recv())
                assert (error["type"], error["error"]) == ("error", "invalid_argument"), name
