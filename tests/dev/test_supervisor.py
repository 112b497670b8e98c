"""The supervisor, with real and very small children."""

from __future__ import annotations

import asyncio
import fcntl
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

from slipway.processes import exit_codes, restart_delays
from slipway.processes import supervisor as supervising
from slipway.processes.readiness import VARIABLE, ReadinessListener
from slipway.processes.supervisor import ChildExit, ChildSpec, Supervisor, stop_requests
from tests.conftest import Eventually

pytestmark = pytest.mark.processes

SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
SUPERVISE = """
import asyncio, signal, sys
from slipway.processes.supervisor import ChildSpec, Supervisor, stop_requests

async def main():
    supervisor = Supervisor()
    with stop_requests(supervisor.kill) as stop:
        for name in ("one", "two"):
            command = (sys.executable, "-c", sys.argv[1])
            orphan_signal = signal.Signals(int(sys.argv[3]))
            spec = ChildSpec(name, command, stop_within_s=float(sys.argv[2]), orphan_signal=orphan_signal)
            await supervisor.start_child(spec)
        print(supervisor.pid("one"), supervisor.pid("two"), flush=True)
        await stop.wait()
        await supervisor.stop()

asyncio.run(main())
"""


def python(source: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", source, *arguments)


def keeper_of(child: str) -> asyncio.Task[Any]:
    """The task that restarts a child."""
    [task] = (task for task in asyncio.all_tasks() if task.get_name() == f"keeper of {child}")
    return task


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Deaths:
    """Records the exits of children."""

    def __init__(self) -> None:
        self.seen: list[ChildExit] = []

    async def __call__(self, death: ChildExit) -> None:
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


async def test_a_killed_child_is_replaced_and_its_exit_reported(
    supervisor: Supervisor, deaths: Deaths, eventually: Eventually
) -> None:
    await supervisor.start_child(ChildSpec("one", python(SLEEP), on_exit=deaths))
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("one") != first)
    (death,) = deaths.seen
    assert (death.name, death.pid, death.description) == ("one", first, "SIGKILL")
    assert not gone(supervisor.pid("one"))


async def test_a_child_that_exits_is_replaced_again_and_again(
    supervisor: Supervisor, deaths: Deaths, eventually: Eventually
) -> None:
    await supervisor.start_child(ChildSpec("one", python("raise SystemExit(3)"), on_exit=deaths))
    await eventually(lambda: len(deaths.seen) >= 3)
    assert {death.description for death in deaths.seen} == {"exit code 3"}
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
            await supervisor.start_child(ChildSpec(name, python(SERVES, str(needed)), on_exit=deaths))
        await eventually(lambda: len(log_lines(lines, "child.crash_loop")) == 3)
    pauses = [line["restart_in_s"] for line in log_lines(lines, "child.exited")]
    assert max(pauses) <= 1, "the first ones are short"
    needed.touch()
    await eventually(lambda: all(supervisor.is_ready(name) for name in ("one", "two", "three")))
    before = len(deaths.seen)
    for name in ("one", "two", "three"):
        os.kill(supervisor.pid(name), signal.SIGKILL)
    await eventually(lambda: len(deaths.seen) == before + 3)


async def test_long_pauses_end_when_one_like_them_is_ready(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """The last one of them pauses two seconds at most, and is the first to become ready."""
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(restart_delays, name, 300.0)
    names, needed = ("one", "two", "three"), tmp_path / "needed"

    def paused(lines: list[Any]) -> set[str]:
        return {line["child"] for line in log_lines(lines, "child.exited") if line["restart_in_s"]}

    with capture_logs() as lines:
        for name in names:
            await supervisor.start_child(ChildSpec(name, python(SERVES, str(needed))))
        await eventually(
            lambda: {line["child"] for line in log_lines(lines, "child.exited") if line["restart_in_s"]} == {*names}
        )
    needed.touch()
    await eventually(lambda: all(supervisor.is_ready(name) for name in names))


@pytest.mark.parametrize(("said", "ready"), [(b"", False), (b"1", True)], ids=["nothing", "ready"])
async def test_a_child_that_ends_without_a_word_was_never_ready(said: bytes, ready: bool) -> None:
    calls: list[bool] = []
    listening = ReadinessListener(lambda: calls.append(True))
    its = listening.open()
    os.write(its, said)
    os.close(its)
    assert listening.poll() is ready
    assert calls == [True] * ready
    listening.close()


async def test_starting_a_child_again_uses_up_no_descriptors(supervisor: Supervisor, eventually: Eventually) -> None:
    await supervisor.start_child(ChildSpec("one", python(SLEEP)))
    started, held = {supervisor.pid("one")}, []
    for _ in range(3):
        os.kill(supervisor.pid("one"), signal.SIGKILL)
        await eventually(lambda: supervisor.pid("one") not in started)
        started.add(supervisor.pid("one"))
        held.append(psutil.Process().num_fds())
    await eventually(lambda: psutil.Process().num_fds() <= held[0])


async def test_each_start_says_anew_that_it_is_ready() -> None:
    listening = ReadinessListener(lambda: None)
    for said in (b"1", b""):
        its = listening.open()
        os.write(its, said)
        os.close(its)
        assert listening.poll() is bool(said)
    listening.close()


SERVES_ONCE = f"""
import os, pathlib, sys, time
if pathlib.Path(sys.argv[1]).exists():
    sys.exit({exit_codes.CONFIG})
pathlib.Path(sys.argv[1]).touch()
os.write(int(os.environ[{VARIABLE!r}]), b"1")
time.sleep(60)
"""
"""Becomes ready when it starts for the first time; later starts end as if the configuration could not work."""


async def test_a_child_that_has_served_is_started_again_whatever_later_starts_say(
    supervisor: Supervisor, deaths: Deaths, tmp_path: Path, eventually: Eventually
) -> None:
    await supervisor.start_child(ChildSpec("one", python(SERVES_ONCE, str(tmp_path / "served")), on_exit=deaths))
    await eventually(lambda: supervisor.is_ready("one"))
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    await eventually(lambda: len(deaths.seen) >= 3, beside=keeper_of("one"))
    assert [death.description for death in deaths.seen[:3]] == ["SIGKILL", "exit code 2", "exit code 2"]


async def test_a_child_that_cannot_be_started_now_is_started_later(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """The system refuses while a descriptor that the child needs is closed."""
    monkeypatch.setattr(supervising, "LONGEST_PAUSE_S", 0.01)
    with Path(os.devnull).open() as device:
        needed = fcntl.fcntl(device, fcntl.F_DUPFD, 500)  # a number that nothing else takes meanwhile
        try:
            await supervisor.start_child(ChildSpec("one", python(SLEEP), pass_fds=(needed,)))
            first = supervisor.pid("one")
            os.close(needed)
            with capture_logs() as lines:
                os.kill(first, signal.SIGKILL)
                keeper = keeper_of("one")
                await eventually(lambda: len(log_lines(lines, "child.not_started")) >= 2, beside=keeper)
        finally:
            os.dup2(device.fileno(), needed)
        try:
            await eventually(lambda: supervisor.pid("one") != first)
        finally:
            os.close(needed)


def log_lines(lines: list[Any], event: str) -> list[Any]:
    """The log's lines of an event."""
    return [line for line in lines if line["event"] == event]


async def test_a_listener_that_raises_does_not_stop_the_restart(eventually: Eventually) -> None:
    async def broken(death: ChildExit) -> None:
        raise RuntimeError("not today")

    supervisor = Supervisor()
    await supervisor.start_child(ChildSpec("one", python(SLEEP), on_exit=broken))
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("one") != first)
    await supervisor.stop()


async def test_stop_ends_a_child_and_does_not_count_as_a_death(supervisor: Supervisor, deaths: Deaths) -> None:
    await supervisor.start_child(ChildSpec("one", python(SLEEP), on_exit=deaths))
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
    await supervisor.start_child(ChildSpec("one", python(source), stop_within_s=0.2))
    await eventually(ready.exists)
    pid = supervisor.pid("one")
    async with asyncio.timeout(30):
        await supervisor.stop()
    assert gone(pid)


async def test_each_child_is_killed_after_its_own_time(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    source = "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    source += "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    for name, stop_within_s in (("hasty", 0.1), ("patient", 60)):
        ready = tmp_path / name
        await supervisor.start_child(ChildSpec(name, python(source, str(ready)), stop_within_s=stop_within_s))
        await eventually(ready.exists)
    hasty, patient = supervisor.pid("hasty"), supervisor.pid("patient")
    stopping = asyncio.create_task(supervisor.stop())
    await eventually(lambda: gone(hasty))
    assert not gone(patient)
    supervisor.kill()
    await stopping


async def _with_a_child_of_its_own(supervisor: Supervisor, note: Path, eventually: Eventually) -> int:
    """Keep the child `one`, which starts another process: the pid of that."""
    source = (
        "import pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    await supervisor.start_child(ChildSpec("one", python(source)))
    await eventually(lambda: note.exists() and note.read_text())
    return int(note.read_text())


async def test_what_a_dead_child_had_started_goes_with_it(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    grandchild = await _with_a_child_of_its_own(supervisor, tmp_path / "pid", eventually)
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    await eventually(lambda: gone(grandchild))


async def test_what_a_stopped_child_had_started_goes_with_it(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    grandchild = await _with_a_child_of_its_own(supervisor, tmp_path / "pid", eventually)
    await supervisor.stop("one")
    await eventually(lambda: gone(grandchild))


def supervise(
    child: str, stop_within_s: float, orphan_signal: signal.Signals = signal.SIGKILL
) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A supervisor in a process of its own, and the pids of its two children."""
    command = python(SUPERVISE, child, str(stop_within_s), str(int(orphan_signal)))
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
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


ENDS_IN_ORDER = """
import os, pathlib, signal, time
note = pathlib.Path({folder!r}) / str(os.getpid())
def end(*_):
    note.write_text("ended in order")
    raise SystemExit
signal.signal(signal.SIGTERM, end)
note.touch()
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux only")
async def test_children_of_a_killed_supervisor_get_the_signal_they_were_given(
    tmp_path: Path, eventually: Eventually
) -> None:
    process, pids = supervise(ENDS_IN_ORDER.format(folder=str(tmp_path)), 10, signal.SIGTERM)
    notes = [tmp_path / str(pid) for pid in pids]
    await eventually(lambda: all(note.exists() for note in notes))
    process.kill()
    process.wait()
    await eventually(lambda: all(gone(pid) for pid in pids))
    assert [note.read_text() for note in notes] == ["ended in order"] * 2


async def test_a_terminal_that_closes_does_not_hurry_a_stop(eventually: Eventually) -> None:
    hurried: list[bool] = []
    with stop_requests(lambda: hurried.append(True)) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)  # signals arrive in the order in which they are sent
        await eventually(lambda: hurried)
    assert hurried == [True]


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
