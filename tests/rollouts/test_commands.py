"""The commands of rollouts, in a process of their own, beside a web process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import pytest

from slipway.redis.layout import LayoutRecord
from slipway.runs.cancel_reasons import Action
from slipway.settings import Settings
from tests.environment import PYTHON_PATH, bare_environment
from tests.http.conftest import Served
from tests.rollouts.conftest import PROJECT, Desk
from tests.shards import shards_of
from tests.switches.test_commands import EXECUTE, CommandLine
from tests.waiting import Eventually

pytestmark = pytest.mark.processes


@pytest.fixture
async def slipway(settings: Settings, valkey_url: str, served: Served) -> AsyncIterator[CommandLine]:
    await LayoutRecord(served.services.pipeline, shards_of(served.services.keys)).check_or_upgrade()
    env = {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": settings.key_prefix, "SLIPWAY_CONFIG": str(PROJECT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        EXECUTE,
        env=bare_environment() | env | {"PYTHONPATH": PYTHON_PATH, "SLIPWAY_LOG_LEVEL": "error"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield CommandLine(process)
    finally:
        process.kill()
        await process.wait()


async def test_an_operator_rolls_a_version_out_and_back(
    slipway: CommandLine, served: Served, eventually: Eventually
) -> None:
    assert await slipway("rollout", "status") == (0, "no graph has a rollout")
    share = "version 2 gets 10 % of the new threads, and those with header x-tester=yes; all others get 1"
    by = ("--by", "ann", "--reason", "a try")
    assert await slipway("rollout", "set", "desk", "2=10%", "--header", "X-Tester=yes", *by) == (0, share)
    await eventually(lambda: served.services.rollout_watch.ramp_of("desk") is not None)

    code, text = await slipway("rollout", "status", "desk")
    title, header, current, ramping, inactive = text.splitlines()[:5]
    assert (code, title.startswith("desk: changed by ann at 20"), title.endswith("(a try)")) == (0, True, True)
    assert header.startswith("version  state     workers  weight  new threads  share seen")
    assert current.split()[:5] == ["1", "current", "0", "90", "%"]
    assert ramping.split()[:5] == ["2", "ramping", "0", "10", "%"]
    assert inactive.split()[:2] == ["3", "inactive"]

    assert await slipway("rollout", "promote", "desk") == (0, "version 2 is current instead of 1")
    assert await slipway("rollout", "rollback", "desk") == (0, "version 1 is current again instead of 2")
    code, text = await slipway("rollout", "history", "desk", "--json")
    assert [json.loads(line)["action"] for line in text.splitlines()] == ["rolled_back", "promoted", "set"]
    code, text = await slipway("rollout", "history", "desk")
    assert text.splitlines()[-1].endswith(f"ann  {share} (a try)")
    assert (await slipway("rollout", "clear", "desk"))[0] == 0


REJECTED = {
    ("set", "desk", "2=10"): "'2=10' is not a weight such as 2=10%",
    ("set", "desk", "2=60%", "1=50%"): "the weights are 110 % together, more than 100 %",
    ("set", "desk", "2=10%", "2=20%"): "version '2' has two weights",
    ("set", "desk", "7=10%"): "graph 'desk' has no version '7'",
    ("set", "desk", "2=10%", "--header", "x"): "--header: 'x' is not NAME=VALUE",
    ("set", "desks", "2=10%"): "langgraph.json names no such graph; did you mean 'desk'?",
    ("promote", "desk"): "no version of graph 'desk' is ramping",
    ("rollback", "desk"): "has nothing to roll back",
    ("status", "desk"): "no version of it was rolled out",
}


async def test_what_is_not_possible_is_rejected(slipway: CommandLine) -> None:
    for arguments, problem in REJECTED.items():
        code, text = await slipway("rollout", *arguments)
        assert (code, problem in text) == (1, True), text


async def test_an_operator_sees_the_versions_and_what_still_needs_one(slipway: CommandLine, desk: Desk) -> None:
    code, text = await slipway("versions", "desk")
    header, *rows = text.splitlines()
    assert (code, header.split()) == (0, ["graph", "version", "since", "workers", "waiting", "runs", "schema", "build"])
    assert [row.split()[:2] for row in rows] == [["desk", "1"], ["desk", "2"], ["desk", "3"]]
    code, text = await slipway("versions", "--json")
    assert {json.loads(line)["graph"] for line in text.splitlines()} == {"desk", "plain"}

    assert await slipway("drain", "desk", "--version", "1") == (0, "nothing needs desk@1: its workers can be stopped")
    run = await desk.run()
    way = "Wait for them, or move their threads: slipway threads move --graph desk --from 1 --to VERSION"
    needed = f"desk@1 is still needed: runs: 1 queued. {way}"
    assert await slipway("drain", "desk", "--version", "1") == (1, needed)
    waits = asyncio.create_task(slipway("drain", "desk", "--version", "1", "--wait"))
    await desk.served.services.runs.cancel(run["thread_id"], run["run_id"], Action.INTERRUPT)
    code, text = await waits
    assert (code, text.splitlines()[-1]) == (0, "nothing needs desk@1: its workers can be stopped")
    assert (await slipway("drain", "desk", "--version", "2", "--json"))[0] == 0
    code, text = await slipway("drain", "desk", "--version", "9")
    assert code == 1
