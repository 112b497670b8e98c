"""`slipway encryption rotate`: everything is encrypted with the new key, while the deployment works and whatever stops
the rotation."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from slipway.encryption_at_rest.counts import KeyCounts
from slipway.encryption_at_rest.key_record import KeyRecord
from slipway.encryption_at_rest.process_keys import encryption_of, process_keys
from slipway.encryption_at_rest.rotation import Rotation, count_values
from slipway.encryption_at_rest.scripts import RotationScripts
from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.health import start_checks
from slipway.indexes.terms import value_terms
from slipway.progress import show_nothing
from slipway.redis.document_keys import DocumentNames
from slipway.redis.encrypted_keys import EncryptedKey
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.encryption import Encryption
from slipway.serialization.places import run_place
from slipway.settings import Settings
from tests.encryption.conftest import NEW, OLD, OTHER, PROJECT, Canary, settings_for
from tests.environment import bare_environment
from tests.http.conftest import serving
from tests.shards import shards_of
from tests.tracing.spans import counted_bytes, stored_bytes
from tests.waiting import wait_until
from tests.worker import running_worker

TEXT = "put in before the rotation"
NAMES = {key: Encryption([key]).first_name for key in (OLD, NEW, OTHER)}


@asynccontextmanager
async def deployment(settings: Settings, graphs: Registry) -> AsyncIterator[Canary]:
    """A web process and a worker with these settings."""
    await start_checks.check(settings, settings.redis)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        yield Canary(client, TEXT)


async def everything(canary: Canary) -> dict[str, Any]:
    """What clients can read, by path."""
    read: dict[str, Any] = {}
    threads = await canary.post("/threads/search", {"limit": 100})
    for thread in sorted(each["thread_id"] for each in threads):
        for path in ("", "/state", "/history", "/runs"):
            read[f"{thread}{path}"] = await canary.get(f"/threads/{thread}{path}")
        for run in read[f"{thread}/runs"]:
            run["webhook_status"] = run["webhook_problem"] = ""  # another try may have failed meanwhile
            read[run["run_id"]] = await canary.get(f"/ops/runs/{run['run_id']}/audit")
            if run["status"] != "pending":
                path = f"/threads/{thread}/runs/{run['run_id']}/stream"
                lines = (await canary.client.get(path, headers=canary.headers)).text.splitlines()
                read[path] = [line for line in lines if not line.startswith(":")]
    read["reviews"] = (await canary.get("/ops/reviews?limit=100"))["reviews"]
    read["crons"] = await canary.post("/runs/crons/search", {})
    read["assistants"] = await canary.post("/assistants/search", {"graph_id": "secrets"})
    for prefix in (["notes"], ["a"]):
        read[f"items {prefix}"] = await canary.post("/store/items/search", {"namespace_prefix": prefix, "query": "x"})
    return read


async def rotated(pipeline: Pipeline, settings: Settings, keys: Keys) -> KeyCounts:
    """The counts of the last pass of a rotation with the keys of the settings."""
    encryption = encryption_of(settings)
    assert encryption is not None
    documents = DocumentNames(settings.langgraph_redis_prefix)
    async with process_keys(settings, pipeline, keys):
        return await Rotation(pipeline, shards_of(keys), documents, encryption, values_per_s=1e9).run(show_nothing)


async def counted(pipeline: Pipeline, settings: Settings, keys: Keys) -> KeyCounts:
    encryption = encryption_of(settings)
    assert encryption is not None
    documents = DocumentNames(settings.langgraph_redis_prefix)
    return await count_values(pipeline, shards_of(keys), documents, encryption, show_nothing)


async def test_everything_is_readable_with_the_new_key_alone(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        await canary.has_ended(await canary.put_everywhere())
        before = await everything(canary)
    vectors = await pipeline.send("HVALS", keys.store_vectors("notes.all"))
    assert [each[:5] for each in vectors] == [b"\0\0\0\0\xc1"]
    both = settings_for(valkey_url, keys, NEW, OLD)
    counts = await rotated(pipeline, both, keys)
    assert (counts.left, counts.problems) == (0, [])
    assert set(counts.names) == {NAMES[NEW]}
    assert await stored_bytes(pipeline, keys) == await counted_bytes(pipeline, keys)
    kinds = {"run", "run_trace", "thread", "events", "run_audit", "review", "cron", "assistant", "checkpoint_state"}
    assert kinds | {"checkpoint_writes", "store_items", "store_vectors", "delivery"} <= set(counts.by_kind)
    assert await KeyRecord(pipeline, keys).names() == [NAMES[NEW]]
    async with deployment(settings_for(valkey_url, keys, NEW), graphs) as canary:
        assert await everything(canary) == before
        found = await canary.post("/threads/search", {"values": {"text": TEXT}, "limit": 100})
        assert len(found) >= 3
        (waiting,) = [each for each in found if each["status"] == "interrupted"][:1]
        answer = {"assistant_id": "waits", "command": {"resume": 1}}
        await canary.post(f"/threads/{waiting['thread_id']}/runs/wait", answer)


async def test_plain_data_are_encrypted_and_stay_searchable(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys), graphs) as canary:
        await canary.has_ended(await canary.put_everywhere())
        before = await everything(canary)
        search = {"values": {"text": TEXT}, "limit": 100, "sort_by": "thread_id"}
        found = await canary.post("/threads/search", search)
    with_key = settings_for(valkey_url, keys, NEW)
    async with deployment(with_key, graphs) as canary:
        assert await everything(canary) == before
        assert await canary.post("/threads/search", search) == found
        assert (await counted(pipeline, with_key, keys)).totals["plain"] > 50
        counts = await rotated(pipeline, with_key, keys)
        assert (counts.left, counts.problems) == (0, [])
        assert await stored_bytes(pipeline, keys) == await counted_bytes(pipeline, keys)
        assert await everything(canary) == before
    async with deployment(with_key, graphs) as canary:
        assert await canary.post("/threads/search", search) == found
        await canary.has_ended(await canary.put_everywhere())
        assert len(await canary.post("/threads/search", search)) == 2 * len(found)
        await canary.client.delete(f"/threads/{found[0]['thread_id']}", headers=canary.headers)


async def test_a_rotation_loses_nothing_that_is_written_meanwhile(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD, NEW), graphs) as canary:
        for _ in range(3):
            await canary.put_everywhere()
        working = asyncio.create_task(_work(canary))
        both = settings_for(valkey_url, keys, NEW, OLD)
        while not working.done():
            counts = await rotated(pipeline, both, keys)
            assert counts.problems == []
            await asyncio.sleep(0)  # another rotation at once, while the deployment writes
        await working
    counts = await rotated(pipeline, both, keys)
    assert (counts.left, set(counts.names)) == (0, {NAMES[NEW]})
    async with deployment(settings_for(valkey_url, keys, NEW), graphs) as canary:
        assert len(await everything(canary)) > 30


async def _work(canary: Canary) -> None:
    for _ in range(4):
        await canary.has_ended(await canary.put_everywhere())


async def test_a_key_that_is_needed_cannot_be_left_out(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        await canary.put_everywhere()
    for settings in (settings_for(valkey_url, keys), settings_for(valkey_url, keys, NEW)):
        with pytest.raises(ConfigError, match=f"named {NAMES[OLD]}.*add it at the end of the list.*Nothing is lost"):
            await start_checks.check(settings, valkey_url, upgrade=False)
    with pytest.raises(ConfigError, match=f"named {NAMES[OLD]}"):
        async with process_keys(settings_for(valkey_url, keys, OTHER), pipeline, keys):
            raise AssertionError("a wrong key was accepted")
    assert await KeyRecord(pipeline, keys).names() == [NAMES[OLD]], "a wrong key is not needed from now on"
    await start_checks.check(settings_for(valkey_url, keys, NEW, OLD), valkey_url, upgrade=False)
    counts = await counted(pipeline, settings_for(valkey_url, keys, NEW), keys)
    assert counts.totals["unreadable"] > 50
    assert any(NAMES[OLD] in problem for problem in counts.problems)


async def test_an_unreadable_value_is_reported_and_stays(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        thread = await canary.put_everywhere()
        await canary.has_ended(thread)
        (run, *_) = await canary.get(f"/threads/{thread}/runs")
    damaged = await pipeline.send("HGET", keys.run(run["run_id"]), "kwargs")
    damaged = damaged[:-1] + bytes([damaged[-1] ^ 1])
    await pipeline.send("HSET", keys.run(run["run_id"]), "kwargs", damaged)
    counts = await rotated(pipeline, settings_for(valkey_url, keys, NEW, OLD), keys)
    assert counts.left == counts.totals["unreadable"] == 1
    assert run["run_id"] in counts.problems[0]
    assert await pipeline.send("HGET", keys.run(run["run_id"]), "kwargs") == damaged
    assert NAMES[OLD] in await KeyRecord(pipeline, keys).names()


async def test_a_value_that_was_moved_to_another_record_is_not_read(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        thread = await canary.put_everywhere()
        await canary.has_ended(thread)
        first, second, *_ = await canary.get(f"/threads/{thread}/runs")
        moved = await pipeline.send("HGET", keys.run(first["run_id"]), "kwargs")
        await pipeline.send("HSET", keys.run(second["run_id"]), "kwargs", moved)
        response = await canary.client.get(f"/threads/{thread}/runs/{second['run_id']}", headers=canary.headers)
        assert (response.status_code, response.json()["code"]) == (500, "store.data")
        assert TEXT not in response.text


async def test_a_run_whose_key_is_missing_is_given_back(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    settings = settings_for(valkey_url, keys, NEW, OLD)
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url) as client:
        canary = Canary(client, TEXT)
        thread = (await canary.post("/threads", {}))["thread_id"]
        run = await canary.post(f"/threads/{thread}/runs", {"assistant_id": "waits", "input": {"text": TEXT}})
        key = keys.run(run["run_id"])
        encryption = Encryption([OTHER])
        mine = await pipeline.send("HGET", key, "kwargs")
        await pipeline.send("HSET", key, "kwargs", encryption.encrypt(b"{}", run_place(run["run_id"])))
        async with running_worker(settings, graphs):

            async def is_given_back() -> bool:
                return b"a worker cannot read it" in (await pipeline.send("HGET", key, "reason"))

            await wait_until(is_given_back)
            assert await pipeline.send("HMGET", key, "phase", "uncounted_attempts") == [b"queued", b"1"]
            assert f"named {NAMES[OTHER]}".encode() in await pipeline.send("HGET", key, "reason")
            await pipeline.send("HSET", key, "kwargs", mine)

            async def asks() -> bool:
                return bool((await canary.get(f"/threads/{thread}"))["status"] == "interrupted")

            await wait_until(asks)


async def test_terms_of_values_need_the_digest_key(
    valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry
) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        thread = (await canary.post("/threads", {"metadata": {"graph_id": "secrets"}}))["thread_id"]
        await canary.post(f"/threads/{thread}/state", {"values": {"text": TEXT}, "as_node": "ask"})
        terms = await pipeline.send("HGET", keys.thread(thread), "value_terms")
    assert len(terms) == 20
    assert terms.decode() != value_terms({"text": TEXT}, b"")


async def test_a_changed_value_is_not_replaced(pipeline: Pipeline, keys: Keys) -> None:
    scripts = RotationScripts(pipeline, shards_of(keys), DocumentNames("d"))
    key = EncryptedKey(keys.run("r"), "run", ("r",))
    assert not await scripts.replace(key, b"kwargs", b"was", b"new")
    await pipeline.send("HSET", keys.run("r"), "kwargs", "other")
    assert not await scripts.replace(key, b"kwargs", b"was", b"new")
    assert await scripts.replace(key, b"kwargs", b"other", b"new")
    assert await pipeline.send("HGETALL", keys.run("r")) == [b"kwargs", b"new"]


async def test_a_log_that_has_grown_is_not_replaced(pipeline: Pipeline, keys: Keys) -> None:
    scripts = RotationScripts(pipeline, shards_of(keys), DocumentNames("d"))
    key, log = EncryptedKey(keys.events("r"), "events", ("r",)), keys.events("r")
    for number in range(2):
        await pipeline.send("XADD", log, f"1-{number + 1}", "n", "x", "f", "frame")
    await pipeline.send("PEXPIRE", log, 100_000)
    (entries,) = [page async for page in scripts.entries(key)]
    await scripts.copy_entries(key, entries, first=True)
    await pipeline.send("XADD", log, "1-3", "n", "x", "f", "newest")
    assert not await scripts.replace_by_copy(key)
    await pipeline.send("XDEL", log, "1-1")  # as many entries as the copy has, but others
    assert not await scripts.replace_by_copy(key)
    await pipeline.send("DEL", log)
    for number in range(3):
        await pipeline.send("XADD", log, f"1-{number + 1}", "n", "x", "f", "frame")
    await pipeline.send("PEXPIRE", log, 100_000)
    await scripts.copy_entries(key, [(b"1-3", [b"n", b"x", b"f", b"again"])], first=False)
    assert await scripts.replace_by_copy(key)
    stored = await pipeline.send("XRANGE", log, "-", "+")
    assert [entry[0] for entry in stored] == [b"1-1", b"1-2", b"1-3"]
    assert stored[2][1][3] == b"again"
    assert 0 < await pipeline.send("PTTL", log) <= 100_000


# as a command, and killed


def environment_for(settings: Settings, **others: str) -> dict[str, str]:
    key = settings.encryption_key
    assert key is not None
    return bare_environment() | {
        "SLIPWAY_REDIS_URL": settings.redis,
        "SLIPWAY_KEY_PREFIX": settings.key_prefix,
        "SLIPWAY_ENCRYPTION_KEY": key.get_secret_value(),
        **others,
    }


async def command(
    settings: Settings, *arguments: str, kill_after_s: float | None = None, **others: str
) -> tuple[int, str]:
    """The exit code and the output of `slipway encryption …`, which may be killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway", "encryption", *arguments, "--config", str(PROJECT)),
        env=environment_for(settings, **others),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    if kill_after_s is not None:
        try:
            await asyncio.wait_for(process.wait(), kill_after_s)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.processes
async def test_a_killed_rotation_continues(valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        for _ in range(2):
            await canary.has_ended(await canary.put_everywhere())
        before = await everything(canary)
        both = settings_for(valkey_url, keys, NEW, OLD)
        for failpoint in ("log_copied", "rotate", "log_copied:3", "rotate:2"):
            code, output = await command(both, "rotate", SLIPWAY_FAILPOINT=failpoint)
            assert code == -signal.SIGKILL, output
    async with deployment(settings_for(valkey_url, keys, NEW, OLD), graphs) as canary:
        assert await everything(canary) == before
        chance = random.Random(os.environ.get("PYTEST_RANDOM_SEED", "rotation"))  # no secret
        for _ in range(4):
            await command(both, "rotate", "--per-second", "600", kill_after_s=chance.uniform(0.8, 2.0))
        assert await everything(canary) == before
        code, output = await command(both, "rotate")
        assert code == 0, output
        assert f"{NAMES[OLD]} can be removed" in output
        assert await everything(canary) == before
    code, output = await command(settings_for(valkey_url, keys, NEW), "status")
    assert code == 0, output
    assert NAMES[OLD] not in output
    assert await pipeline.send("KEYS", f"{keys.prefix}:run:*:copy") == []


@pytest.mark.processes
async def test_commands_say_what_is_missing(valkey_url: str, pipeline: Pipeline, keys: Keys, graphs: Registry) -> None:
    async with deployment(settings_for(valkey_url, keys, OLD), graphs) as canary:
        thread = await canary.put_everywhere()
        await canary.has_ended(thread)
    code, output = await command(settings_for(valkey_url, keys, NEW), "rotate")
    assert code != 0
    assert f"named {NAMES[OLD]}" in output
    code, output = await command(settings_for(valkey_url, keys, NEW, OLD), "status")
    assert code == 0, output
    assert f"{NAMES[NEW]} (first)" in output
    await pipeline.send("HSET", keys.run("damaged"), "kwargs", b"\xc1" + bytes.fromhex(NAMES[OLD]) + b"x" * 40)
    code, output = await command(settings_for(valkey_url, keys, NEW, OLD), "rotate")
    assert code == 1
    assert "1 are left" in output
    assert "unreadable" in output
