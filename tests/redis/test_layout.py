"""The layout version in Redis decides which releases may start, and how stored data is upgraded."""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.clock import Clock
from slipway.errors import ConfigError, StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.health.health import NEWER_LAYOUT, HealthMonitor
from slipway.processes.child_commands import slipway
from slipway.progress import ShowProgress
from slipway.redis import layout
from slipway.redis.hash_fields import fields_of
from slipway.redis.keys import Keys
from slipway.redis.layout import LAYOUT, UNRECORDED, LayoutRecord
from slipway.redis.layout_scripts import StoredLayout
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.shards import Shards
from slipway.services import open_services
from slipway.settings import Settings
from slipway.versions import version_of
from slipway_workers.process import WorkerProcess
from tests.environment import bare_environment
from tests.shards import shards_of
from tests.waiting import wait_until

pytestmark = pytest.mark.one_shard("data of earlier releases, and the processes that it starts, have one shard")

THIS_RELEASE = version_of("slipway")
GRAPH = """
from langgraph.graph import START, StateGraph

graph = StateGraph(dict).add_node("node", lambda state: {}).add_edge(START, "node").compile()
"""
INDEXES = ("threads", "assistants", "crons", "store_namespaces")


@pytest.fixture
def record(pipeline: Pipeline, keys: Keys) -> LayoutRecord:
    return LayoutRecord(pipeline, shards_of(keys))


@pytest.fixture
def next_release(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes this process a later release, with the next layout."""

    def become_next_release() -> None:
        monkeypatch.setattr(layout, "LAYOUT", LAYOUT + 1)
        monkeypatch.setattr(layout, "version_of", lambda _: "later")

    return become_next_release


async def stored_record(pipeline: Pipeline, keys: Keys) -> dict[str, str]:
    fields = fields_of(await pipeline.send("HGETALL", keys.layout))
    return {name: value.decode() for name, value in fields.items()}


def expected_record(number: int = LAYOUT, release: str = THIS_RELEASE) -> dict[str, str]:
    return {"required": str(number), "version": str(number), "release": release, "shards": "1"}


async def test_an_empty_database_gets_the_layout_of_the_first_start(
    record: LayoutRecord, pipeline: Pipeline, keys: Keys
) -> None:
    await record.check()
    assert await stored_record(pipeline, keys) == {}, "check() must not store anything"
    for _ in range(2):
        await record.check_or_upgrade()
        assert await stored_record(pipeline, keys) == expected_record()
    await record.check()


async def test_a_start_with_the_current_layout_takes_one_round_trip(record: LayoutRecord, pipeline: Pipeline) -> None:
    await record.check_or_upgrade()
    before = pipeline.round_trips
    await record.check_or_upgrade()
    assert pipeline.round_trips == before + 1


@pytest.mark.parametrize("index", INDEXES)
async def test_data_without_a_layout_record_is_not_upgraded(
    record: LayoutRecord, pipeline: Pipeline, keys: Keys, index: str
) -> None:
    await pipeline.send("ZADD", getattr(keys, index), 1, "something")
    assert (await record.read()).version == UNRECORDED
    for start in (record.check, record.check_or_upgrade):
        with pytest.raises(ConfigError, match="cannot upgrade: set SLIPWAY_KEY_PREFIX to another prefix"):
            await start()
    assert await stored_record(pipeline, keys) == {}


async def test_an_upgrade_excludes_older_releases_before_it_changes_anything(
    record: LayoutRecord, pipeline: Pipeline, keys: Keys, next_release: Callable[[], None]
) -> None:
    await record.check_or_upgrade()
    during: list[dict[str, str]] = []

    async def upgrade(pipeline: Pipeline, shards: Shards, show: ShowProgress) -> None:
        during.append(await stored_record(pipeline, keys))
        if len(during) == 1:
            raise ConnectionError("the first upgrade is interrupted")

    next_release()
    with pytest.raises(ConnectionError):
        await record.check_or_upgrade({LAYOUT: upgrade})
    with pytest.raises(ConfigError, match="run `slipway release`"):
        await record.check()
    await record.check_or_upgrade({LAYOUT: upgrade})
    unfinished = {"required": str(LAYOUT + 1), "version": str(LAYOUT), "release": "later", "shards": "1"}
    assert during == [unfinished, unfinished]
    assert await stored_record(pipeline, keys) == expected_record(LAYOUT + 1, "later")


async def test_an_older_release_does_not_start_and_names_the_release_to_run(
    record: LayoutRecord, pipeline: Pipeline, keys: Keys
) -> None:
    newer = {"required": str(LAYOUT + 1), "version": str(LAYOUT), "release": "9.1.0"}
    await pipeline.send("HSET", keys.layout, *(part for pair in newer.items() for part in pair))
    for start in (record.check, record.check_or_upgrade):
        with pytest.raises(ConfigError, match=f"layout {LAYOUT + 1}.*{THIS_RELEASE}.*run release 9.1.0 or a later one"):
            await start()
    assert await stored_record(pipeline, keys) == newer


async def test_a_release_never_lowers_the_layout(
    record: LayoutRecord, pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two releases start on an empty database at the same time."""
    read = record.read

    async def read_before_the_newer_release_writes() -> StoredLayout:
        layout_before = await read()
        await pipeline.send("HSET", keys.layout, "required", 7, "version", 7, "release", "9.1.0", "shards", 1)
        return layout_before

    monkeypatch.setattr(record, "read", read_before_the_newer_release_writes)
    with pytest.raises(ConfigError, match="layout 7"):
        await record.check_or_upgrade()
    assert await stored_record(pipeline, keys) == expected_record(7, "9.1.0")


async def test_a_running_web_process_of_an_older_release_rejects_new_runs(
    record: LayoutRecord, pipeline: Pipeline, keys: Keys
) -> None:
    await record.check_or_upgrade()
    health = HealthMonitor(pipeline, shards_of(keys), Settings(), Clock())
    assert NEWER_LAYOUT not in {finding.code for finding in (await health.measure()).findings}
    health.check_layout()
    await pipeline.send("HSET", keys.layout, "required", LAYOUT + 1, "release", "9.1.0")
    assert not (await health.measure()).ready
    with pytest.raises(StoreUnavailable, match=r"run release 9\.1\.0"):
        health.check_layout()


async def test_a_running_worker_of_an_older_release_drains_and_exits(
    pipeline: Pipeline, keys: Keys, valkey_url: str, tmp_path: Path
) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}}')
    (tmp_path / "a.py").write_text(GRAPH)
    config = tmp_path / "langgraph.json"
    settings = Settings.from_values(
        {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": config, "heartbeat_s": 0.1}
    )
    async with open_services(settings, await Registry.load(settings.config), "worker") as services:
        wake = ServerPipeline(services.address, "test worker wake", patience_s=2)
        await wake.open()
        await LayoutRecord(pipeline, shards_of(keys)).check_or_upgrade()
        working = asyncio.create_task(WorkerProcess(services, wake).work())
        await wait_until(lambda: pipeline.send("ZCARD", keys.workers), beside=working)
        await pipeline.send("HSET", keys.layout, "required", LAYOUT + 1, "release", "9.1.0")
        await asyncio.wait_for(working, 30)
        await wake.close()


class Commands:
    """Executes `slipway` commands with one key prefix, in a folder with a langgraph.json."""

    def __init__(self, folder: Path, url: str, prefix: str) -> None:
        (folder / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}}')
        (folder / "a.py").write_text(GRAPH)
        self._folder = folder
        self._environment = bare_environment() | {"SLIPWAY_REDIS_URL": url, "SLIPWAY_KEY_PREFIX": prefix}

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Returns the exit code and the lines of stderr that Slipway itself prints."""
        finished = await asyncio.to_thread(
            lambda: subprocess.run(
                slipway(*arguments),
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        )
        lines = finished.stderr.splitlines(keepends=True)
        return finished.returncode, "".join(line for line in lines if line.startswith("slipway: "))


@pytest.fixture
def commands(tmp_path: Path, valkey_url: str, keys: Keys) -> Commands:
    return Commands(tmp_path, valkey_url, keys.prefix)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("web", "--port", "0"), 2),
        (("worker", "--processes", "2"), 2),
        (("release",), 1),
        (("doctor",), 2),
        (("doctor", "--repair"), 2),
        (("checkpoints", "migrate", "--from", "core", "--to", "langgraph-redis"), 2),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
async def test_no_command_of_an_older_release_starts(
    commands: Commands, pipeline: Pipeline, keys: Keys, command: tuple[str, ...], code: int
) -> None:
    await pipeline.send("HSET", keys.layout, "required", LAYOUT + 1, "version", LAYOUT + 1, "release", "9.1.0")
    returned, problem = await commands.run(*command)
    assert returned == code
    assert "run release 9.1.0 or a later one" in problem


@pytest.mark.processes
async def test_the_release_command_records_the_layout(commands: Commands, pipeline: Pipeline, keys: Keys) -> None:
    assert await commands.run("release") == (0, "")
    assert await stored_record(pipeline, keys) == expected_record()


@pytest.mark.processes
async def test_the_release_command_fails_on_data_that_cannot_be_upgraded(
    commands: Commands, pipeline: Pipeline, keys: Keys
) -> None:
    await pipeline.send("ZADD", keys.assistants, 1, "an assistant")
    returned, problem = await commands.run("release")
    assert (returned, "cannot upgrade" in problem) == (1, True)


async def test_another_number_of_shards_is_refused(pipeline: Pipeline) -> None:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    eight, four = LayoutRecord(pipeline, Shards(prefix, 8)), LayoutRecord(pipeline, Shards(prefix, 4))
    await eight.check_or_upgrade()
    await eight.check()
    for check in (four.check, four.check_or_upgrade):
        with pytest.raises(ConfigError, match=r"SLIPWAY_SHARDS is 4, and the data .* were stored with 8"):
            await check()


async def test_data_of_releases_without_shards_have_one(pipeline: Pipeline) -> None:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    await pipeline.send(
        "HSET", Shards(prefix).layout.layout, "required", LAYOUT, "version", LAYOUT, "release", "before"
    )
    await LayoutRecord(pipeline, Shards(prefix)).check_or_upgrade()
    with pytest.raises(ConfigError, match="set SLIPWAY_SHARDS=1"):
        await LayoutRecord(pipeline, Shards(prefix, 8)).check_or_upgrade()


async def test_processes_that_start_at_once_agree_on_the_number_of_shards(pipeline: Pipeline) -> None:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    records = [LayoutRecord(pipeline, Shards(prefix, count)) for count in (1, 2, 4, 8)]
    results = await asyncio.gather(*(each.check_or_upgrade() for each in records), return_exceptions=True)
    assert [isinstance(each, ConfigError) for each in results].count(False) == 1
