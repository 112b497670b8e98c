"""The supervisor, with real and very small children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from app.processes.ready import VARIABLE
from app.processes.supervisor import ChildSpec, Death, Supervisor
from tests.conftest import Eventually

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
SUPERVISE = """
import asyncio, sys
from app.processes.supervisor import ChildSpec, Supervisor, stop_requests

async def main():
    supervisor = Supervisor()
    with stop_requests(supervisor.kill) as stop:
        for name in ("one", "two"):
            command = (sys.executable, "-c", sys.argv[1])
            await supervisor.keep(ChildSpec(name, command, stop_within_s=float(sys.argv[2])))
        print(supervisor.pid("one"), supervisor.pid("two"), flush=True)
        await stop.wait()
        await supervisor.stop()

asyncio.run(main())
"""


def python(source: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", source, *arguments)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Deaths:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.seen: list[Death] = []

    async def __call__(self, death: Death) -> None:
        self.seen.append(death)


@pytest.fixture
def deaths() -> Deaths:
    return Deaths()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.kill()
    await supervisor.stop()


async def test_a_killed_child_is_replaced_and_its_death_told(
    supervisor: Supervisor, deaths: Deaths, eventually: Eventually
) -> None:
    await supervisor.keep(ChildSpec("one", python(SLEEP), on_death=deaths))
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("one") != first)
    (death,) = deaths.seen
    assert (death.name, death.pid, death.how) == ("one", first, "SIGKILL")
    assert not gone(supervisor.pid("one"))


async def test_a_child_that_exits_is_replaced_again_and_again(
    supervisor: Supervisor, deaths: Deaths, eventually: Eventually
) -> None:
    await supervisor.keep(ChildSpec("one", python("raise SystemExit(3)"), on_death=deaths))
    await eventually(lambda: len(deaths.seen) >= 3)
    assert {death.how for death in deaths.seen} == {"exit code 3"}
    assert len({death.pid for death in deaths.seen}) == len(deaths.seen)


SERVES = f"""
import os, pathlib, sys, time
if not pathlib.Path(sys.argv[1]).exists():
    sys.exit(3)
os.write(int(os.environ[{VARIABLE!r}]), b"1")
time.sleep(60)
"""
"""Becomes ready where there is what it needs, and ends at once elsewhere."""


async def test_children_that_wait_start_when_one_like_them_is_ready(
    supervisor: Supervisor, deaths: Deaths, tmp_path: Path, eventually: Eventually
) -> None:
    needed = tmp_path / "needed"
    with capture_logs() as lines:
        for name in ("one", "two", "three"):
            await supervisor.keep(ChildSpec(name, python(SERVES, str(needed)), on_death=deaths))
        await eventually(lambda: len(told(lines, "child.crash_loop")) == 3)
    pauses = [line["again_in_s"] for line in told(lines, "child.died")]
    assert max(pauses) <= 1, "the first ones are short"
    needed.touch()
    await eventually(lambda: all(supervisor._children[name].ready.said for name in ("one", "two", "three")))
    before = len(deaths.seen)
    for name in ("one", "two", "three"):
        os.kill(supervisor.pid(name), signal.SIGKILL)
    await eventually(lambda: len(deaths.seen) == before + 3)


def told(lines: list[Any], event: str) -> list[Any]:
    """The log's lines of an event."""
    return [line for line in lines if line["event"] == event]


async def test_a_listener_that_raises_does_not_stop_the_restart(eventually: Eventually) -> None:
    async def broken(death: Death) -> None:
        raise RuntimeError("not today")

    supervisor = Supervisor()
    await supervisor.keep(ChildSpec("one", python(SLEEP), on_death=broken))
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("one") != first)
    await supervisor.stop()


async def test_stop_ends_a_child_and_does_not_count_as_a_death(supervisor: Supervisor, deaths: Deaths) -> None:
    await supervisor.keep(ChildSpec("one", python(SLEEP), on_death=deaths))
    pid = supervisor.pid("one")
    await supervisor.stop("one")
    assert gone(pid)
    assert deaths.seen == []


async def test_a_child_that_ignores_sigterm_is_killed_in_time(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    ready = tmp_path / "ready"
    source = (
        f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({str(ready)!r}, 'w'); time.sleep(60)"
    )
    await supervisor.keep(ChildSpec("one", python(source), stop_within_s=0.2))
    await eventually(ready.exists)
    pid = supervisor.pid("one")
    async with asyncio.timeout(30):
        await supervisor.stop()
    assert gone(pid)


async def test_what_a_dead_child_had_started_goes_with_it(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    note = tmp_path / "pid"
    source = (
        "import pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    await supervisor.keep(ChildSpec("one", python(source)))
    await eventually(lambda: note.exists() and note.read_text())
    grandchild = int(note.read_text())
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    await eventually(lambda: gone(grandchild))


def supervise(child: str, stop_within_s: float) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A supervisor in a process of its own, and the pids of its two children."""
    process = subprocess.Popen(python(SUPERVISE, child, str(stop_within_s)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as said:
        line = said.readline()
        while not line.strip().replace(b" ", b"").isdigit():  # log lines come first
            assert line, "the supervisor did not start"
            line = said.readline()
    return process, [int(pid) for pid in line.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux only")
async def test_no_child_outlives_a_killed_supervisor(eventually: Eventually) -> None:
    process, pids = supervise(STUBBORN, 10)
    assert not any(gone(pid) for pid in pids)
    process.kill()
    process.wait()
    await eventually(lambda: all(gone(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_child(number: signal.Signals) -> None:
    process, pids = supervise(SLEEP, 10)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert all(gone(pid) for pid in pids)


async def test_a_second_signal_kills(eventually: Eventually) -> None:
    process, pids = supervise(STUBBORN, 60)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # two equal signals may arrive as one
    await eventually(lambda: process.poll() is not None)
    await eventually(lambda: all(gone(pid) for pid in pids))
