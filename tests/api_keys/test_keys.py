"""API keys: how they are created, shown, used, revoked, and how a request with a key is refused."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from langgraph_sdk.errors import AuthenticationError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from slipway.api_keys import verification
from slipway.api_keys.key_text import KeyText, new_key_text, parse_key
from slipway.api_keys.store import ApiKeyStore, duration_s
from slipway.errors import InvalidRequest, NotFound
from slipway.processes.child_commands import slipway
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.api_keys.conftest import KeyHolder, new_holder
from tests.environment import bare_environment
from tests.http.conftest import Served
from tests.waiting import wait_until


async def status(holder: KeyHolder, **headers: str) -> int:
    async with httpx.AsyncClient(base_url=holder.url) as client:
        response = await client.post("/threads/search", json={}, headers=headers or dict(holder.headers))
    return response.status_code


async def test_a_key_is_accepted_in_both_headers_and_its_run_has_its_user(
    served: Served, ann_key: KeyHolder, worker: object
) -> None:
    text = ann_key.key.text
    assert await status(ann_key, **{"x-api-key": text}) == 200
    assert await status(ann_key, authorization=f"Bearer {text}") == 200
    async with ann_key.sdk() as sdk:
        result: Any = await sdk.runs.wait(None, "greet", input={"text": "hi"})
    assert result["reply"] == f"key:{ann_key.key.key.key_id} of n"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, "no credentials"),
        ({"x-api-key": "anything"}, "no credentials"),
        ({"authorization": "Basic YW5uOng="}, "no credentials"),
        ({"authorization": "Bearer eyJh.eyJh.x"}, "this deployment accepts no bearer tokens other than API keys"),
        ({"authorization": "bearer x"}, "this deployment accepts no bearer tokens other than API keys"),
        ({"x-api-key": "slipway_short"}, "malformed"),
        ({"authorization": "Bearer slipway_short"}, "malformed"),
        ({"x-api-key": new_key_text().text}, "there is no such API key"),
    ],
)
async def test_a_request_without_a_valid_key_is_unauthenticated(
    client: httpx.AsyncClient, headers: dict[str, str], problem: str
) -> None:
    response = await client.get(f"/threads/{'0' * 8}-0000-7000-8000-000000000000", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert problem in response.json()["detail"]
    assert response.json()["code"] == "access.refused"


async def test_two_different_keys_and_a_wrong_secret_are_refused(ann_key: KeyHolder, bob_key: KeyHolder) -> None:
    both = {"x-api-key": ann_key.key.text, "authorization": f"Bearer {bob_key.key.text}"}
    assert await status(ann_key, **both) == 401
    same = {"x-api-key": ann_key.key.text, "authorization": f"Bearer {ann_key.key.text}"}
    assert await status(ann_key, **same) == 200
    other_secret = f"slipway_{ann_key.key.key.key_id}_{bob_key.key.text[-43:]}"
    assert await status(ann_key, **{"x-api-key": other_secret}) == 401


async def test_only_the_hash_of_a_key_is_stored(
    served: Served, ann_key: KeyHolder, pipeline: Pipeline, keys: Keys, admin_key: KeyHolder
) -> None:
    """The secret is in no key of Redis, in no response but the first, and in no representation."""
    secret = ann_key.key.text
    await status(ann_key)
    for name in await pipeline.send("KEYS", f"{keys.prefix}*"):
        assert secret[-43:].encode() not in await pipeline.send("DUMP", name)
    async with admin_key.http() as client:
        created = (await client.post("/ops/keys", json={"scopes": ["runs:read"], "owner": "acme"})).json()
        shown = (await client.get("/ops/keys")).text + (await client.get(f"/ops/keys/{created['key_id']}")).text
    assert re.fullmatch(r"slipway_[a-z0-9]{12}_[\w-]{43}", created["key"])
    assert secret not in shown
    assert created["key"] not in shown
    assert created["last_characters"] == created["key"][-4:]
    assert secret[-43:] not in f"{ann_key.key!r} {parse_key(secret)!r}"


def test_keys_are_random_and_have_one_form() -> None:
    texts = {new_key_text().text for _ in range(1000)}
    assert len(texts) == 1000
    assert all(parse_key(text) is not None for text in texts)
    for wrong in (
        "",
        "slipway_",
        next(iter(texts)) + "x",
        next(iter(texts)) + "\n",
        "ſlipway_" + next(iter(texts))[8:],
    ):
        assert parse_key(wrong) is None
    one = new_key_text()
    assert one.matches(one.digest)
    assert not one.matches(KeyText(one.key_id, one.text[:-1] + ("A" if one.text[-1] != "A" else "B")).digest)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["runs:delete"]}, "scopes"),
        ({"scopes": ["operate"], "owner": "acme"}, "scopes"),
        ({"scopes": ["administer"], "owner": "acme"}, "scopes"),
        ({"scopes": ["runs:read"], "owner": ""}, "owner"),
        ({"scopes": ["runs:read"], "owner": "a.b"}, "owner"),
        ({"scopes": ["runs:read"], "owner": "*"}, "owner"),
        ({"scopes": ["runs:read"], "owner": "langgraph"}, "owner"),
        ({"scopes": ["runs:read"], "owner": "a" * 129}, "owner"),
        ({"scopes": ["runs:read"], "expires": "90"}, "expires"),
        ({"scopes": ["runs:read"], "expires": "0d"}, "expires"),
        ({"scopes": ["runs:read"], "expires": "999999w"}, "expires"),
        ({"scopes": ["runs:read"], "name": "a\x1b[31m"}, "name"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_with_the_field(
    admin_key: KeyHolder, fields: dict[str, Any], field: str
) -> None:
    async with admin_key.http() as client:
        response = await client.post("/ops/keys", json=fields)
        assert response.status_code == 422, response.text
        assert response.json()["detail"].startswith(field), response.text
        assert len((await client.get("/ops/keys")).json()["keys"]) == 1, "the key of the administrator"


async def test_a_whole_key_where_its_id_is_expected_is_not_shown(admin_key: KeyHolder, bob_key: KeyHolder) -> None:
    """People paste the key itself. The error names the id, and nothing is revoked."""
    key_id, text = bob_key.key.key.key_id, bob_key.key.text
    secret = text[-43:]
    async with admin_key.http() as client:
        whole = (text, text[:-1], f"{text}x", f" {text}", f"Bearer {text}")
        for pasted in (*whole, text.upper(), f"{key_id}_{secret}", secret):
            for method in ("GET", "DELETE"):
                response = await client.request(method, f"/ops/keys/{quote(pasted)}")
                assert response.status_code == 422, pasted
                assert "give the key id" in response.json()["detail"]
                assert (f"give the key id: {key_id}" in response.text) is (pasted in whole), pasted
                assert secret[:20].lower() not in response.text.lower()
        assert (await client.get(f"/ops/keys/{key_id}")).json()["state"] == "active"
        assert "no such" not in (await client.get("/ops/keys/nothing")).text
        assert (await client.get("/ops/keys/nothing")).status_code == 404


@pytest.mark.processes
async def test_the_commands_do_not_show_a_whole_key(bob_key: KeyHolder, settings: Settings) -> None:
    assert settings.redis_url is not None
    given = {"SLIPWAY_REDIS_URL": settings.redis_url.get_secret_value(), "SLIPWAY_KEY_PREFIX": settings.key_prefix}
    environment = {**bare_environment(), **given}
    for command in ("show", "revoke"):
        process = await asyncio.create_subprocess_exec(
            *slipway("keys", command, bob_key.key.text),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
        assert process.returncode != 0
        assert f"give the key id: {bob_key.key.key.key_id}" in output
        assert bob_key.key.text[-43:] not in output


def test_durations() -> None:
    assert [duration_s(text, "expires") for text in ("30m", "12h", "90d", "2w")] == [1800, 43_200, 7_776_000, 1_209_600]
    for wrong in ("", "d", "1", "1.5d", "-1d", "1 d", "1D", "٣d"):
        with pytest.raises(InvalidRequest):
            duration_s(wrong, "expires")


async def test_an_expired_key_gets_a_clear_401(served: Served, pipeline: Pipeline, keys: Keys) -> None:
    holder = await new_holder(served, "runs:read", expires="30m")
    assert await status(holder) == 200
    stored = keys.api_key(holder.key.key.key_id)
    await pipeline.send("HSET", stored, "expires_us", "1000000")
    await pipeline.send("PUBLISH", keys.api_key_changes, holder.key.key.key_id)
    async with holder.http() as client:

        async def is_refused() -> bool:
            return (await client.post("/threads/search", json={})).status_code == 401

        await wait_until(is_refused)
        response = await client.post("/threads/search", json={})
    assert "expired at 1970-01-01" in response.json()["detail"]
    assert "slipway keys create" in response.json()["detail"]


async def test_a_revoked_key_is_refused_at_once_and_its_use_is_recorded(
    served: Served, admin_key: KeyHolder, bob_key: KeyHolder
) -> None:
    key_id = bob_key.key.key.key_id
    async with admin_key.http() as admin, bob_key.http() as bob:
        assert (await bob.post("/threads/search", json={})).status_code == 200

        async def has_last_use() -> bool:
            return (await admin.get(f"/ops/keys/{key_id}")).json()["last_used_at"] is not None

        await wait_until(has_last_use)
        revoked = (await admin.delete(f"/ops/keys/{key_id}")).json()
        assert revoked["changed"]
        assert revoked["key"]["state"] == "revoked"
        assert revoked["key"]["revoked_by"] == f"key:{admin_key.key.key.key_id}"

        async def is_refused() -> bool:
            return (await bob.post("/threads/search", json={})).status_code == 401

        await wait_until(is_refused, within_s=2)  # far less than keys are remembered
        assert "was revoked at" in (await bob.get("/assistants/x")).json()["detail"]
        again = (await admin.delete(f"/ops/keys/{key_id}")).json()
        assert not again["changed"]
        assert again["key"]["revoked_at"] == revoked["key"]["revoked_at"]


async def test_a_lost_message_delays_a_revocation_by_a_bounded_time(
    served: Served, bob_key: KeyHolder, pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is revoked without the message that each process receives."""
    monkeypatch.setattr(verification, "REMEMBERED_S", 0.3)
    assert await status(bob_key) == 200
    await pipeline.send("HSET", keys.api_key(bob_key.key.key.key_id), "revoked_us", "1", "revoked_by", "x")
    started = asyncio.get_running_loop().time()

    async def is_refused() -> bool:
        return await status(bob_key) == 401

    await wait_until(is_refused, within_s=5)
    assert asyncio.get_running_loop().time() - started < 3


async def test_a_key_costs_one_read_and_no_round_trip_while_it_is_remembered(
    served: Served, ann_key: KeyHolder, pipeline: Pipeline
) -> None:
    async def reads() -> int:
        stats = (await pipeline.send("INFO", "commandstats")).decode()
        found = re.search(r"cmdstat_hgetall:calls=(\d+)", stats)
        return int(found[1]) if found else 0

    async with ann_key.http() as client:
        before = await reads()
        for _ in range(20):
            assert (await client.get("/openapi.json")).status_code == 200
            assert (await client.post("/threads/count", json={})).status_code == 200
    assert await reads() - before < 10, "with some reads of the server's own duties"


@pytest.mark.parametrize("kind", ["stream", "wait"])
async def test_open_responses_end_when_their_key_is_revoked(
    served: Served, worker: object, bob_key: KeyHolder, tmp_path: Path, kind: str
) -> None:
    """The client receives the error that a new request would receive, and does not reconnect. The run continues."""
    file, store = tmp_path / "go", served.services.api_keys
    body = {"assistant_id": "waiting", "input": {"text": str(file)}, "stream_mode": ["values"]}
    async with bob_key.http() as client:
        thread_id = (await client.post("/threads", json={})).json()["thread_id"]
        async with client.stream("POST", f"/threads/{thread_id}/runs/{kind}", json=body) as response:
            assert response.status_code == 200
            parts = response.aiter_text()
            await anext(parts)
            await store.revoke(bob_key.key.key.key_id, "the test")
            rest = "".join([part async for part in parts])
    assert "was revoked at" in rest
    assert '"code":"access.refused"' in rest
    file.touch()

    async def has_ended() -> bool:
        (run,) = await served.services.runs.list(thread_id)
        return run.final

    await wait_until(has_ended)
    (run,) = await served.services.runs.list(thread_id)
    assert run.status == "success", "accepted work belongs to the owner"


async def test_a_websocket_is_closed_when_its_key_is_revoked(served: Served, bob_key: KeyHolder) -> None:
    async with bob_key.http() as client:
        thread_id = (await client.post("/threads", json={})).json()["thread_id"]
    url = f"{served.url.replace('http', 'ws')}/threads/{thread_id}/stream/events"
    async with connect(url, additional_headers=dict(bob_key.headers)) as socket:
        await socket.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}))
        assert json.loads(await socket.recv())["type"] == "success"
        await served.services.api_keys.revoke(bob_key.key.key.key_id, "the test")
        async with asyncio.timeout(5):
            await socket.wait_closed()
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
    assert "revoked" in closed.value.rcvd.reason


async def test_a_websocket_without_a_key_is_closed_with_4401(served: Served) -> None:
    url = f"{served.url.replace('http', 'ws')}/threads/{'0' * 8}-0000-7000-8000-000000000000/stream/events"
    async with connect(url) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_open_responses_end_when_their_key_expires(
    served: Served, bob_key: KeyHolder, pipeline: Pipeline, keys: Keys
) -> None:
    """Expiry needs no message: the key expires a second after the stream has begun."""
    async with bob_key.http() as client:
        thread_id = (await client.post("/threads", json={})).json()["thread_id"]
    holder = await new_holder(served, "runs:read", owner="bob", expires="30m")
    seconds, _ = await pipeline.send("TIME")
    await pipeline.send("HSET", keys.api_key(holder.key.key.key_id), "expires_us", str((int(seconds) + 2) * 1_000_000))
    async with holder.http() as client, client.stream("GET", f"/threads/{thread_id}/stream") as response:
        assert response.status_code == 200
        text = "".join([part async for part in response.aiter_text()])
    assert "have expired" in text


async def test_a_wrong_key_of_the_sdk_is_an_authentication_error(served: Served, ann_key: KeyHolder) -> None:
    async with ann_key.sdk() as sdk:
        await served.services.api_keys.revoke(ann_key.key.key.key_id, "the test")

        async def is_refused() -> bool:
            try:
                await sdk.threads.search()
            except AuthenticationError:
                return True
            return False

        await wait_until(is_refused, within_s=2)


async def test_keys_are_listed_in_pages_and_ended_ones_are_deleted_later(
    served: Served, pipeline: Pipeline, keys: Keys, admin_key: KeyHolder
) -> None:
    store: ApiKeyStore = served.services.api_keys
    created = [admin_key.key.key.key_id]
    for number in range(4):
        created.append((await new_holder(served, "runs:read", owner=f"o{number}")).key.key.key_id)
    listed: list[str] = []
    async with admin_key.http() as client:
        cursor = None
        while True:
            params = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
            page = (await client.get("/ops/keys", params=params)).json()
            listed += [key["key_id"] for key in page["keys"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert (await client.get("/ops/keys", params={"cursor": "zzz"})).status_code == 422
    assert listed == created[::-1]
    await store.revoke(created[1], "x")
    await pipeline.send("ZADD", f"{keys.prefix}:api_keys:end", "1", created[1])  # long ago
    await new_holder(served, "runs:read")
    assert created[1] not in [key.key_id for key in (await store.page(100)).keys]
    with pytest.raises(NotFound):
        await store.get(created[1])


async def test_a_key_with_a_scope_of_a_later_release_has_the_others(
    served: Served, ann_key: KeyHolder, pipeline: Pipeline, keys: Keys
) -> None:
    name = keys.api_key(ann_key.key.key.key_id)
    await pipeline.send("HSET", name, "scopes", '["runs:read","moon:land"]')
    assert await status(ann_key) == 200
    await pipeline.send("HSET", name, "scopes", '["moon:land"]')
    await pipeline.send("PUBLISH", keys.api_key_changes, ann_key.key.key.key_id)

    async def is_refused() -> bool:
        return await status(ann_key) == 403

    await wait_until(is_refused)


async def test_an_invalid_assistant_is_the_error_of_the_request_and_not_of_the_rule_of_owners(
    ann_key: KeyHolder,
) -> None:
    both = {"graph_id": "greet", "context": {"a": 1}, "config": {"configurable": {"b": 2}}}
    async with ann_key.http() as client:
        response = await client.post("/assistants", json=both)
    assert response.status_code == 400
    assert "not both" in response.json()["detail"]
