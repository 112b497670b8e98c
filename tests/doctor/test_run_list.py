"""`slipway runs` lists runs across threads."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from slipway.commands.run_list import as_json, as_table, list_runs, phases_of
from slipway.errors import ConfigError
from slipway.processes.child_commands import slipway
from slipway.redis.layout import LayoutRecord
from slipway.runs.record import Phase
from slipway.runs.search import RunQuery
from tests.environment import bare_environment
from tests.runs.conftest import Stores, settings_of
from tests.shards import shards_of


async def test_runs_are_listed_as_a_table_and_as_json(stores: Stores, valkey_url: str) -> None:
    await LayoutRecord(stores.pipeline, shards_of(stores.keys)).check_or_upgrade()
    ended = await stores.create_run(user={"identity": "ann"})
    await stores.settle(await stores.claim_one(), Phase.FAILED)
    queued = [await stores.create_run() for _ in range(3)]
    settings = settings_of(valkey_url, stores.keys)
    found = await list_runs(settings, RunQuery(), limit=3, oldest_first=True)
    assert [run.run_id for run in found] == [ended.run_id, queued[0].run_id, queued[1].run_id]
    heading, first, *_ = as_table(found).splitlines()
    assert heading.split() == ["created_at", "run_id", "thread_id", "graph_id", "version", "phase", "reason", "owner"]
    assert first.split() == [ended.created_at, ended.run_id, ended.thread_id, "steps", "failed", "node.failed", "ann"]
    (line,) = as_json(
        await list_runs(settings, RunQuery(phases=phases_of(["failed"])), limit=9, oldest_first=False)
    ).splitlines()
    assert (json.loads(line)["run_id"], json.loads(line)["owner"]) == (ended.run_id, "ann")
    assert as_table([]) == "no run was found"
    with pytest.raises(ConfigError, match=r"^--phase: 'success' is not one of queued, "):
        phases_of(["success"])


@pytest.mark.processes
async def test_the_command_prints_runs(stores: Stores, valkey_url: str, tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./a.py:graph"}}))
    await LayoutRecord(stores.pipeline, shards_of(stores.keys)).check_or_upgrade()
    run = await stores.create_run()

    async def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = bare_environment() | {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": stores.keys.prefix}
        command = (*slipway("runs", *arguments),)
        return await asyncio.to_thread(
            lambda: subprocess.run(
                command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
            )
        )

    printed, refused = await asyncio.gather(
        run_command("--phase", "queued", "--graph", "steps", "--json"), run_command("--created-after", "yesterday")
    )
    assert (printed.returncode, json.loads(printed.stdout)["run_id"]) == (0, run.run_id), printed.stderr
    assert (refused.returncode, "--created-after" in refused.stderr) == (2, True)
