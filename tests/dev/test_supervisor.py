"""The supervisor, with small real processes as children."""

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
from tests.waiting import Eventually

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


def has_exited(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class RecordedExits:
    """A listener that records the exits of children."""

    def __init__(self) -> None:
        self.recorded: list[ChildExit] = []

    async def __call__(self, child_exit: ChildExit) -> None:
        self.recorded.append(child_exit)


@pytest.fixture
def exits() -> RecordedExits:
    return RecordedExits()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.kill()
    await supervisor.stop()


async def test_a_killed_child_is_restarted_and_its_exit_reported(
    supervisor: Supervisor, exits: RecordedExits, eventually: Eventually
) -> None:
    await supervisor.start_child(ChildSpec("one", python(SLEEP), on_exit=exits))
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("one") != first)
    (child_exit,) = exits.recorded
    assert (child_exit.name, child_exit.pid, child_exit.description) == ("one", first, "SIGKILL")
    assert not has_exited(supervisor.pid("one"))


async def test_a_child_that_exits_is_restarted_each_time(
    supervisor: Supervisor, exits: RecordedExits, eventually: Eventually
) -> None:
    await supervisor.start_child(ChildSpec("one", python("raise SystemExit(3)"), on_exit=exits))
    await eventually(lambda: len(exits.recorded) >= 3)
    assert {child_exit.description for child_exit in exits.recorded} == {"exit code 3"}
    assert len({child_exit.pid for child_exit in exits.recorded}) == len(exits.recorded)


SERVES = f"""
import os, pathlib, sys, time
if not pathlib.Path(sys.argv[1]).exists():
    sys.exit(3)
os.write(int(os.environ[{VARIABLE!r}]), b"1")
time.sleep(60)
"""
"""Becomes ready if the file in its argument exists, and exits otherwise."""


async def test_paused_children_start_when_another_child_is_ready(
    supervisor: Supervisor, exits: RecordedExits, tmp_path: Path, eventually: Eventually
) -> None:
    names, required = ("one", "two", "three"), tmp_path / "required"
    with capture_logs() as lines:
        for name in names:
            await supervisor.start_child(ChildSpec(name, python(SERVES, str(required)), on_exit=exits))
        await eventually(lambda: len(log_lines(lines, "child.crash_loop")) == 3)
    exits_of = {name: [line for line in log_lines(lines, "child.exited") if line["child"] == name] for name in names}
    pauses = [
        line["retry_in_s"]
        for each in exits_of.values()
        for line in each[: restart_delays.CRASH_LOOP_EXITS_BEFORE_READY]
    ]
    assert max(pauses) <= 1, "the first pauses are short"
    required.touch()
    await eventually(lambda: all(supervisor.is_ready(name) for name in ("one", "two", "three")))
    before = len(exits.recorded)
    for name in ("one", "two", "three"):
        os.kill(supervisor.pid(name), signal.SIGKILL)
    await eventually(lambda: len(exits.recorded) == before + 3)


async def test_long_pauses_end_when_another_child_is_ready(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """The pause of the last child without a ready sibling is two seconds at most, so it becomes ready first."""
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S"):
        monkeypatch.setattr(restart_delays, name, 300.0)
    names, required = ("one", "two", "three"), tmp_path / "required"

    def paused() -> set[str]:
        return {line["child"] for line in log_lines(lines, "child.exited") if line["retry_in_s"]}

    with capture_logs() as lines:
        for name in names:
            await supervisor.start_child(ChildSpec(name, python(SERVES, str(required))))
        await eventually(lambda: paused() == {*names})
    required.touch()
    await eventually(lambda: all(supervisor.is_ready(name) for name in names))


@pytest.mark.parametrize(("written", "is_ready"), [(b"", False), (b"1", True)], ids=["nothing", "ready"])
async def test_a_child_that_reports_nothing_is_not_ready(written: bytes, is_ready: bool) -> None:
    calls: list[bool] = []
    listener = ReadinessListener(lambda: calls.append(True))
    child_end = listener.open()
    os.write(child_end, written)
    os.close(child_end)
    assert listener.poll() is is_ready
    assert calls == [True] * is_ready
    listener.close()


async def test_a_restart_leaks_no_descriptors(supervisor: Supervisor, eventually: Eventually) -> None:
    await supervisor.start_child(ChildSpec("one", python(SLEEP)))
    started, descriptors = {supervisor.pid("one")}, []
    for _ in range(3):
        os.kill(supervisor.pid("one"), signal.SIGKILL)
        await eventually(lambda: supervisor.pid("one") not in started)
        started.add(supervisor.pid("one"))
        descriptors.append(psutil.Process().num_fds())
    await eventually(lambda: psutil.Process().num_fds() <= descriptors[0])


async def test_each_start_of_a_child_reports_its_readiness() -> None:
    listener = ReadinessListener(lambda: None)
    for written in (b"1", b""):
        child_end = listener.open()
        os.write(child_end, written)
        os.close(child_end)
        assert listener.poll() is bool(written)
    listener.close()


SERVES_ONCE = f"""
import os, pathlib, sys, time
if pathlib.Path(sys.argv[1]).exists():
    sys.exit({exit_codes.CONFIG})
pathlib.Path(sys.argv[1]).touch()
os.write(int(os.environ[{VARIABLE!r}]), b"1")
time.sleep(60)
"""
"""Becomes ready at its first start. Later starts exit with the code for a wrong setting."""


async def test_a_child_that_was_ready_is_restarted_whatever_its_exit_code(
    supervisor: Supervisor, exits: RecordedExits, tmp_path: Path, eventually: Eventually
) -> None:
    await supervisor.start_child(ChildSpec("one", python(SERVES_ONCE, str(tmp_path / "served")), on_exit=exits))
    await eventually(lambda: supervisor.is_ready("one"))
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    await eventually(lambda: len(exits.recorded) >= 3, beside=keeper_of("one"))
    assert [child_exit.description for child_exit in exits.recorded[:3]] == ["SIGKILL", "exit code 2", "exit code 2"]


async def test_a_failed_start_is_repeated(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """Starting the child fails while a descriptor that is to be passed to it is closed."""
    monkeypatch.setattr(supervising, "LONGEST_PAUSE_S", 0.01)
    with Path(os.devnull).open() as device:
        passed = fcntl.fcntl(device, fcntl.F_DUPFD, 500)  # a number that no other file gets during the test
        try:
            await supervisor.start_child(ChildSpec("one", python(SLEEP), pass_fds=(passed,)))
            first = supervisor.pid("one")
            os.close(passed)
            with capture_logs() as lines:
                os.kill(first, signal.SIGKILL)
                keeper = keeper_of("one")
                await eventually(lambda: len(log_lines(lines, "child.not_started")) >= 2, beside=keeper)
        finally:
            os.dup2(device.fileno(), passed)
        try:
            await eventually(lambda: supervisor.pid("one") != first)
        finally:
            os.close(passed)


def log_lines(lines: list[Any], event: str) -> list[Any]:
    """The log lines of an event."""
    return [line for line in lines if line["event"] == event]


async def test_a_listener_that_raises_does_not_stop_the_restart(eventually: Eventually) -> None:
    async def raises(child_exit: ChildExit) -> None:
        raise RuntimeError("listener failed")

    supervisor = Supervisor()
    await supervisor.start_child(ChildSpec("one", python(SLEEP), on_exit=raises))
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("one") != first)
    await supervisor.stop()


async def test_a_stopped_child_exits_without_a_report(supervisor: Supervisor, exits: RecordedExits) -> None:
    await supervisor.start_child(ChildSpec("one", python(SLEEP), on_exit=exits))
    pid = supervisor.pid("one")
    await supervisor.stop("one")
    assert has_exited(pid)
    assert exits.recorded == []


async def test_a_child_that_ignores_sigterm_is_killed(
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
    assert has_exited(pid)


async def test_each_child_is_killed_after_its_own_timeout(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    source = "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    source += "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    for name, stop_within_s in (("short", 0.1), ("long", 60)):
        ready = tmp_path / name
        await supervisor.start_child(ChildSpec(name, python(source, str(ready)), stop_within_s=stop_within_s))
        await eventually(ready.exists)
    short, long = supervisor.pid("short"), supervisor.pid("long")
    stopping = asyncio.create_task(supervisor.stop())
    await eventually(lambda: has_exited(short))
    assert not has_exited(long)
    supervisor.kill()
    await stopping


async def _start_with_grandchild(supervisor: Supervisor, pid_file: Path, eventually: Eventually) -> int:
    """Starts the child `one`, which starts another process. Returns the id of that process."""
    source = (
        "import pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    await supervisor.start_child(ChildSpec("one", python(source)))
    await eventually(lambda: pid_file.exists() and pid_file.read_text())
    return int(pid_file.read_text())


async def test_the_processes_of_a_killed_child_are_killed(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    grandchild = await _start_with_grandchild(supervisor, tmp_path / "pid", eventually)
    os.kill(supervisor.pid("one"), signal.SIGKILL)
    await eventually(lambda: has_exited(grandchild))


async def test_the_processes_of_a_stopped_child_are_killed(
    supervisor: Supervisor, tmp_path: Path, eventually: Eventually
) -> None:
    grandchild = await _start_with_grandchild(supervisor, tmp_path / "pid", eventually)
    await supervisor.stop("one")
    await eventually(lambda: has_exited(grandchild))


def supervise(
    child: str, stop_within_s: float, orphan_signal: signal.Signals = signal.SIGKILL
) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Starts a supervisor as a process of its own. Returns it and the ids of its two children."""
    command = python(SUPERVISE, child, str(stop_within_s), str(int(orphan_signal)))
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        line = output.readline()
        while not line.strip().replace(b" ", b"").isdigit():  # log lines come first
            assert line, "the supervisor did not start"
            line = output.readline()
    return process, [int(pid) for pid in line.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal to the children of a killed process")
async def test_no_child_outlives_a_killed_supervisor(eventually: Eventually) -> None:
    process, pids = supervise(STUBBORN, 10)
    assert not any(has_exited(pid) for pid in pids)
    process.kill()
    process.wait()
    await eventually(lambda: all(has_exited(pid) for pid in pids))


STOPS_CLEANLY = """
import os, pathlib, signal, time
note = pathlib.Path({folder!r}) / str(os.getpid())
def end(*_):
    note.write_text("stopped")
    raise SystemExit
signal.signal(signal.SIGTERM, end)
note.touch()
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal to the children of a killed process")
async def test_children_of_a_killed_supervisor_receive_their_orphan_signal(
    tmp_path: Path, eventually: Eventually
) -> None:
    process, pids = supervise(STOPS_CLEANLY.format(folder=str(tmp_path)), 10, signal.SIGTERM)
    notes = [tmp_path / str(pid) for pid in pids]
    await eventually(lambda: all(note.exists() for note in notes))
    process.kill()
    process.wait()
    await eventually(lambda: all(has_exited(pid) for pid in pids))
    assert [note.read_text() for note in notes] == ["stopped"] * 2


async def test_a_closed_terminal_does_not_kill_children_that_are_stopping(eventually: Eventually) -> None:
    kills: list[bool] = []
    with stop_requests(lambda: kills.append(True)) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)  # signals arrive in the order in which they are sent
        await eventually(lambda: kills)
    assert kills == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_child(number: signal.Signals) -> None:
    process, pids = supervise(SLEEP, 10)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert all(has_exited(pid) for pid in pids)


async def test_a_second_signal_kills_all_children(eventually: Eventually) -> None:
    process, pids = supervise(STUBBORN, 60)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # two equal signals may arrive as one
    await eventually(lambda: process.poll() is not None)
    await eventually(lambda: all(has_exited(pid) for pid in pids))
