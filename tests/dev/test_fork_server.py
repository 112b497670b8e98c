"""Children that the fork server forks: the supervisor treats them like other children.

The tests use workers that wait for an unavailable Redis: they keep running and import no project.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from slipway.errors import ConfigError
from slipway.processes import fork_client
from slipway.processes import supervisor as supervising
from slipway.processes.child_commands import slipway
from slipway.processes.fork_server import CHILD_ACCEPTED
from slipway.processes.supervisor import FORK_SERVER, ChildSpec, Supervisor
from tests.dev.test_supervisor import RecordedExits, has_exited
from tests.waiting import Eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="on other systems children are executed, not forked"),
    pytest.mark.processes,
]


@pytest.fixture
async def supervisor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """A supervisor with a fork server. The timeout is long, because the imports are slow on a loaded machine."""
    monkeypatch.setattr(fork_client, "PID_TIMEOUT_S", 50)
    supervisor = Supervisor()
    await supervisor.start_fork_server()
    yield supervisor
    supervisor.kill()
    await supervisor.stop()


@pytest.fixture
def worker(tmp_path: Path) -> ChildSpec:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}}')
    arguments = ("worker", "--config", str(tmp_path / "langgraph.json"))
    env = {"SLIPWAY_REDIS_URL": f"unix://{tmp_path}/none.sock", "PYTHONPATH": str(Path.cwd())}
    return ChildSpec("worker", slipway(*arguments), arguments, env, stop_within_s=5)


def workers_of(config: Path) -> set[int]:
    """The ids of the running processes that were started with this langgraph.json."""
    pids = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(config) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                pids.add(process.pid)
    return pids


def start_methods(lines: Sequence[Mapping[str, Any]]) -> list[object]:
    """How each worker was started: `forked` or `executed`."""
    return [line["how"] for line in lines if line["event"] == "child.started" and line["child"] == "worker"]


async def test_a_forked_child_has_the_supervisor_as_parent_and_its_own_title(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    with capture_logs() as lines:
        await supervisor.start_child(worker)
    child = psutil.Process(supervisor.pid("worker"))
    assert start_methods(lines) == ["forked"]
    assert child.ppid() == os.getpid()
    assert os.getsid(child.pid) == child.pid
    await eventually(lambda: (child.name(), child.cmdline()) == ("slipway worker", list(worker.command)))


async def test_the_exit_of_a_forked_child_is_reported(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    exits = RecordedExits()
    await supervisor.start_child(ChildSpec("worker", worker.command, worker.arguments, worker.env, on_exit=exits))
    os.kill(supervisor.pid("worker"), signal.SIGKILL)
    await eventually(lambda: exits.recorded)
    assert [exit_.description for exit_ in exits.recorded] == ["SIGKILL"]


async def test_a_forked_child_with_a_wrong_setting_is_not_restarted(supervisor: Supervisor) -> None:
    exits = RecordedExits()
    await supervisor.start_child(
        ChildSpec("invalid", slipway("worker"), ("worker", "--config", "nowhere"), on_exit=exits)
    )
    with pytest.raises(ConfigError, match="invalid cannot start"):
        await supervisor.run_until(asyncio.Event())
    assert not exits.recorded


def open_files(folder: Path) -> dict[str, Path]:
    """The open files of a process by descriptor. `folder` is its `/proc/<pid>/fd`."""
    files = {}
    for link in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            files[link.name] = link.readlink()
    return files


async def test_a_forked_child_has_only_the_descriptors_passed_to_it(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    parent_end, child_end = os.pipe()
    spec = ChildSpec("worker", worker.command, worker.arguments, worker.env, (child_end,))
    try:
        await supervisor.start_child(spec)
        of_child = Path(f"/proc/{supervisor.pid('worker')}/fd")
        pipe = Path(f"/proc/self/fd/{child_end}").readlink()
        await eventually(lambda: open_files(of_child).get(str(child_end)) == pipe)
        assert list(open_files(of_child).values()).count(pipe) == 1
        of_fork_server = Path(f"/proc/{supervisor.pid(FORK_SERVER)}/fd")
        await eventually(lambda: pipe not in open_files(of_fork_server).values())
    finally:
        os.close(parent_end)
        os.close(child_end)


async def test_children_requested_at_once_are_all_forked(supervisor: Supervisor, worker: ChildSpec) -> None:
    names = [f"worker-{number}" for number in range(8)]
    specs = [ChildSpec(name, worker.command, worker.arguments, worker.env) for name in names]
    with capture_logs() as lines:
        await asyncio.gather(*map(supervisor.start_child, specs))
    started = {line["child"]: line["how"] for line in lines if line["event"] == "child.started"}
    assert started == dict.fromkeys(names, "forked")


async def test_the_supervisor_does_not_adopt_orphans(supervisor: Supervisor, worker: ChildSpec) -> None:
    await supervisor.start_child(worker)
    shell = subprocess.run(["sh", "-c", "sleep 60 > /dev/null & echo $!"], stdout=subprocess.PIPE, check=True)
    orphan = psutil.Process(int(shell.stdout))
    try:
        assert orphan.ppid() != os.getpid()
    finally:
        orphan.kill()


@pytest.mark.parametrize(
    ("reply", "continues"), [(CHILD_ACCEPTED, True), (b"", False)], ids=["accepted", "not accepted"]
)
def test_a_forked_child_continues_only_when_the_supervisor_accepts_it(reply: bytes, continues: bool) -> None:
    """A supervisor whose request timed out has closed its end of the socket."""
    imports = "import sys; from slipway.processes.fork_server import _send_pid"
    source = f"{imports}; _send_pid(int(sys.argv[1])); print('continued')"
    parent_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with parent_end, child_end:
        command = (sys.executable, "-c", source, str(child_end.fileno()))
        child = subprocess.Popen(command, pass_fds=(child_end.fileno(),), stdout=subprocess.PIPE)
        child_end.close()
        parent_end.settimeout(30)
        assert int(parent_end.recv(32)) == child.pid
        if reply:
            parent_end.send(reply)
    output, _ = child.communicate(timeout=30)
    assert (output, child.returncode) == ((b"continued\n", 0) if continues else (b"", 1))


async def test_a_killed_fork_server_is_restarted_and_its_children_continue(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    with capture_logs() as lines:
        await supervisor.start_child(worker)
        first, fork_server = supervisor.pid("worker"), supervisor.pid(FORK_SERVER)
        os.kill(fork_server, signal.SIGKILL)
        await eventually(lambda: supervisor.pid(FORK_SERVER) != fork_server)
        assert not has_exited(first)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: supervisor.pid("worker") != first)
    assert start_methods(lines) == ["forked", "forked"]


async def test_a_worker_is_restarted_when_it_is_killed_with_the_fork_server(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    await supervisor.start_child(worker)
    first = supervisor.pid("worker")
    os.kill(supervisor.pid(FORK_SERVER), signal.SIGKILL)
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("worker") != first)
    assert not has_exited(supervisor.pid("worker"))


async def test_without_a_pid_from_the_fork_server_the_child_is_executed(
    supervisor: Supervisor, worker: ChildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(fork_client, "PID_TIMEOUT_S", 0.1)
    fork_server, earlier = supervisor.pid(FORK_SERVER), zombies()  # other tests of this process may have left zombies
    os.kill(fork_server, signal.SIGSTOP)
    with capture_logs() as lines:
        await supervisor.start_child(worker)
    assert start_methods(lines) == ["executed"]
    monkeypatch.setattr(fork_client, "PID_TIMEOUT_S", 50)
    os.kill(fork_server, signal.SIGCONT)
    await supervisor.start_child(ChildSpec("next", worker.command, worker.arguments, worker.env))
    expected = {supervisor.pid("worker"), supervisor.pid("next")}
    await eventually(lambda: workers_of(tmp_path / "langgraph.json") == expected)
    await supervisor.start_child(ChildSpec("last", worker.command, worker.arguments, worker.env))
    await eventually(lambda: not set(zombies()) - set(earlier))  # the withdrawn request was not served


def zombies() -> list[psutil.Process]:
    """Children of this process that exited and that it did not wait for."""
    return [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


async def test_a_request_ends_when_the_fork_server_exits(supervisor: Supervisor, worker: ChildSpec) -> None:
    os.kill(supervisor.pid(FORK_SERVER), signal.SIGSTOP)
    with capture_logs() as lines:
        starting = asyncio.create_task(supervisor.start_child(worker))
        await asyncio.sleep(0)  # the request is sent
        os.kill(supervisor.pid(FORK_SERVER), signal.SIGKILL)
        await starting
    assert start_methods(lines) == ["executed"], "the next fork server did not fork it"


async def test_children_are_executed_where_forking_is_not_supported(
    worker: ChildSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "is_supported", lambda: False)
    supervisor = Supervisor()
    await supervisor.start_fork_server()
    with capture_logs() as lines:
        await supervisor.start_child(worker)
    supervisor.kill()
    await supervisor.stop()
    assert start_methods(lines) == ["executed"]


async def test_a_cancelled_wait_for_a_child_does_not_end_other_waits() -> None:
    child = fork_client.ForkedProcess(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
    cancelled, waiting = (asyncio.create_task(child.wait()) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    os.kill(child.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        assert await waiting == -signal.SIGKILL


async def test_no_signal_is_sent_to_a_child_that_exited(monkeypatch: pytest.MonkeyPatch) -> None:
    child, sent = fork_client.ForkedProcess(os.posix_spawn("/bin/true", ["true"], {})), []
    async with asyncio.timeout(30):
        assert await child.wait() == 0
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    child.terminate()
    assert sent == []
