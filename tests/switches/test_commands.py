"""The commands of operators, in a process of their own, beside a worker."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from slipway.redis.layout import LayoutRecord
from slipway.settings import Settings
from slipway_workers.process import WorkerProcess
from tests.environment import PYTHON_PATH, bare_environment
from tests.shards import shards_of
from tests.switches.conftest import PROJECT, Desk

pytestmark = pytest.mark.processes

EXECUTE = """
import contextlib, io, json, sys
from slipway.cli import cli
from slipway.processes.exit_codes import exit_on_errors_to_fix
for line in sys.stdin:
    arguments = json.loads(line)
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with exit_on_errors_to_fix():
                cli(arguments, standalone_mode=False)
        except SystemExit as exit:
            code = exit.code
    print(json.dumps([code, out.getvalue().strip(), err.getvalue().strip()]), flush=True)
"""
"""One process executes all commands, because each start takes seconds."""

ONLY = "only a run that failed or was cancelled can be retried"


class CommandLine:
    """Executes commands, one after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and what the command prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        code, out, err = json.loads(line) if line else (await self._process.wait(), "", "")
        return code, out or err


@pytest.fixture
async def slipway(
    settings: Settings, valkey_url: str, worker: WorkerProcess, request: pytest.FixtureRequest
) -> AsyncIterator[CommandLine]:
    """The parameter of a test is the failpoint at which the process is killed."""
    await LayoutRecord(worker.services.pipeline, shards_of(worker.services.keys)).check_or_upgrade()
    env = {"SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": settings.key_prefix, "SLIPWAY_CONFIG": str(PROJECT)}
    failpoint = {"SLIPWAY_FAILPOINT": request.param} if hasattr(request, "param") else {}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        EXECUTE,
        env=bare_environment() | env | {"PYTHONPATH": PYTHON_PATH, "SLIPWAY_LOG_LEVEL": "error"} | failpoint,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield CommandLine(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_operators_switch_and_operate_from_the_command_line(desk: Desk, slipway: CommandLine) -> None:
    gate = desk.close_gate("first")
    run, other = await desk.start("chain"), await desk.start("chain")
    await desk.until_ran(run, "first")
    one, another = run["run_id"], other["run_id"]
    by = ["--by", "eve"]
    off = "node 'second' of graph 'chain' is switched off by eve: wrong amounts"
    assert await slipway("node", "disable", "chain", "second", "--reason", "wrong amounts", *by) == (0, off)
    code, error = await slipway("node", "disable", "chain", "secnod")
    assert (code, error[-24:]) == (1, "; did you mean 'second'?")
    assert (await slipway("switches"))[1].endswith(off)
    assert (await slipway("runs", "pause", another, "--reason", "look at it", *by))[1] == f"run {another} is running"
    assert (await slipway("runs", "pause", another))[1].endswith("(nothing to change)")
    assert await slipway("runs", "retry", one) == (1, f"slipway: run {one} cannot be retried: it is running; {ONLY}")
    gate.set()
    assert (await desk.until(run, "paused"))["switch"] == "node:chain:second"
    paused = await desk.until(other, "paused")
    assert (paused["pause"]["by"], paused["pause"]["reason"]) == ("eve", "look at it")
    _, listed = await slipway("runs", "--phase", "paused", "--json")
    assert {json.loads(line)["run_id"] for line in listed.splitlines()} == {one, another}
    assert json.loads((await slipway("runs", "audit", another))[1])["actor"] == "eve"
    assert (await slipway("runs", "skip-node", one, "second", *by))[0] == 0
    assert (await slipway("runs", "edit-state", another, '{"log": ["by hand"]}', "--as-node", "third"))[0] == 0
    assert (await slipway("runs", "edit-state", another, "{"))[0] == 2
    await desk.until(run, "completed")
    await desk.until(other, "completed")
    assert desk.ran(run) == ["first", "third"]
    assert await desk.log_of(other) == ["first", "by hand"]


@pytest.mark.parametrize("slipway", ["switched_on"], indirect=True)
async def test_runs_continue_once_when_the_command_that_switches_on_is_killed(desk: Desk, slipway: CommandLine) -> None:
    """A duty of the workers queues them."""
    gate = desk.close_gate("first")
    runs = [await desk.start("chain") for _ in range(3)]
    for run in runs:
        await desk.until_ran(run, "first")
    assert (await slipway("node", "disable", "chain", "second"))[0] == 0
    await desk.eventually(lambda: len(desk.others[0].switch_watch.off.all()) == 1)
    gate.set()
    for run in runs:
        await desk.until(run, "paused")
    assert (await slipway("node", "enable", "chain", "second"))[0] == -signal.SIGKILL
    for run in runs:
        await desk.until(run, "completed")
        assert desk.ran(run) == ["first", "second", "third"]
