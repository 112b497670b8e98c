"""Children that are forked from a template process: they are the supervisor's like any others.

They are workers that wait for a Redis which is never there: they live, and import nothing of a user's.
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
from tests.conftest import Eventually
from tests.dev.test_supervisor import Deaths, gone

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere children are executed"),
    pytest.mark.processes,
]


@pytest.fixture
async def supervisor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """Patient with its template, which imports everything on whatever machine this is."""
    monkeypatch.setattr(fork_client, "REPLY_TIMEOUT_S", 50)
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
    """The living processes that were started on this langgraph.json."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(config) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def ways(lines: Sequence[Mapping[str, Any]]) -> list[object]:
    """How the workers were started, one after the other."""
    return [line["how"] for line in lines if line["event"] == "child.started" and line["child"] == "worker"]


async def test_it_is_our_child_and_shows_as_what_it_is(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    with capture_logs() as lines:
        await supervisor.start_child(worker)
    child = psutil.Process(supervisor.pid("worker"))
    assert ways(lines) == ["forked"]
    assert child.ppid() == os.getpid()
    assert os.getsid(child.pid) == child.pid
    await eventually(lambda: (child.name(), child.cmdline()) == ("slipway worker", list(worker.command)))


async def test_how_it_ended_is_known(supervisor: Supervisor, worker: ChildSpec, eventually: Eventually) -> None:
    deaths = Deaths()
    await supervisor.start_child(ChildSpec("worker", worker.command, worker.arguments, worker.env, on_exit=deaths))
    os.kill(supervisor.pid("worker"), signal.SIGKILL)
    await eventually(lambda: deaths.seen)
    assert [death.description for death in deaths.seen] == ["SIGKILL"]


async def test_a_child_that_says_it_can_never_start_is_not_started_again(supervisor: Supervisor) -> None:
    deaths = Deaths()
    await supervisor.start_child(
        ChildSpec("refused", slipway("worker"), ("worker", "--config", "nowhere"), on_exit=deaths)
    )
    with pytest.raises(ConfigError, match="refused cannot start"):
        await supervisor.run_until(asyncio.Event())
    assert not deaths.seen


def links(folder: Path) -> dict[str, Path]:
    """What a process has open, by number."""
    found = {}
    for link in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[link.name] = link.readlink()
    return found


async def test_what_was_not_handed_down_is_closed(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    ours, its = os.pipe()
    given = ChildSpec("worker", worker.command, worker.arguments, worker.env, (its,))
    try:
        await supervisor.start_child(given)
        held = Path(f"/proc/{supervisor.pid('worker')}/fd")
        pipe = Path(f"/proc/self/fd/{its}").readlink()
        await eventually(lambda: links(held).get(str(its)) == pipe)
        assert list(links(held).values()).count(pipe) == 1
        template = Path(f"/proc/{supervisor.pid(FORK_SERVER)}/fd")
        await eventually(lambda: pipe not in links(template).values())
    finally:
        os.close(ours)
        os.close(its)


async def test_children_that_are_wanted_at_once_are_all_forked(supervisor: Supervisor, worker: ChildSpec) -> None:
    names = [f"worker-{number}" for number in range(8)]
    specs = [ChildSpec(name, worker.command, worker.arguments, worker.env) for name in names]
    with capture_logs() as lines:
        await asyncio.gather(*map(supervisor.start_child, specs))
    started = {line["child"]: line["how"] for line in lines if line["event"] == "child.started"}
    assert started == dict.fromkeys(names, "forked")


async def test_what_others_leave_behind_is_not_adopted(supervisor: Supervisor, worker: ChildSpec) -> None:
    await supervisor.start_child(worker)
    leaves = subprocess.run(["sh", "-c", "sleep 60 > /dev/null & echo $!"], stdout=subprocess.PIPE, check=True)
    orphan = psutil.Process(int(leaves.stdout))
    try:
        assert orphan.ppid() != os.getpid()
    finally:
        orphan.kill()


@pytest.mark.parametrize(("answer", "goes_on"), [(CHILD_ACCEPTED, True), (b"", False)], ids=["wanted", "not wanted"])
def test_a_child_goes_on_only_when_the_supervisor_wants_it(answer: bytes, goes_on: bool) -> None:
    """A supervisor that stopped waiting has closed its end of the socket."""
    use = "import sys; from slipway.processes.fork_server import _send_pid"
    source = f"{use}; _send_pid(int(sys.argv[1])); print('on')"
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        command = (sys.executable, "-c", source, str(its.fileno()))
        child = subprocess.Popen(command, pass_fds=(its.fileno(),), stdout=subprocess.PIPE)
        its.close()
        ours.settimeout(30)
        assert int(ours.recv(32)) == child.pid
        if answer:
            ours.send(answer)
    said, _ = child.communicate(timeout=30)
    assert (said, child.returncode) == ((b"on\n", 0) if goes_on else (b"", 1))


async def test_a_killed_fork_server_takes_nobody_down_and_is_replaced(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    with capture_logs() as lines:
        await supervisor.start_child(worker)
        first, template = supervisor.pid("worker"), supervisor.pid(FORK_SERVER)
        os.kill(template, signal.SIGKILL)
        await eventually(lambda: supervisor.pid(FORK_SERVER) != template)
        assert not gone(first)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: supervisor.pid("worker") != first)
    assert ways(lines) == ["forked", "forked"]


async def test_fork_server_and_worker_killed_at_once(
    supervisor: Supervisor, worker: ChildSpec, eventually: Eventually
) -> None:
    await supervisor.start_child(worker)
    first = supervisor.pid("worker")
    os.kill(supervisor.pid(FORK_SERVER), signal.SIGKILL)
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.pid("worker") != first)
    assert not gone(supervisor.pid("worker"))


async def test_a_fork_server_that_does_not_answer_is_done_without(
    supervisor: Supervisor, worker: ChildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(fork_client, "REPLY_TIMEOUT_S", 0.1)
    template, earlier = supervisor.pid(FORK_SERVER), zombies()  # other tests of this process may have left some
    os.kill(template, signal.SIGSTOP)
    with capture_logs() as lines:
        await supervisor.start_child(worker)
    assert ways(lines) == ["executed"]
    monkeypatch.setattr(fork_client, "REPLY_TIMEOUT_S", 50)
    os.kill(template, signal.SIGCONT)
    await supervisor.start_child(ChildSpec("next", worker.command, worker.arguments, worker.env))
    wanted = {supervisor.pid("worker"), supervisor.pid("next")}
    await eventually(lambda: workers_of(tmp_path / "langgraph.json") == wanted)
    await supervisor.start_child(ChildSpec("last", worker.command, worker.arguments, worker.env))
    await eventually(lambda: not set(zombies()) - set(earlier))  # the withdrawn request was not served


def zombies() -> list[psutil.Process]:
    """Children of this process that exited and that it did not wait for."""
    return [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


async def test_a_fork_server_that_exits_during_a_request_is_not_waited_for(
    supervisor: Supervisor, worker: ChildSpec
) -> None:
    os.kill(supervisor.pid(FORK_SERVER), signal.SIGSTOP)
    with capture_logs() as lines:
        starting = asyncio.create_task(supervisor.start_child(worker))
        await asyncio.sleep(0)  # the order is sent
        os.kill(supervisor.pid(FORK_SERVER), signal.SIGKILL)
        await starting
    assert ways(lines) == ["executed"], "and not forked by its successor"


async def test_where_it_cannot_be_done_children_are_executed(
    worker: ChildSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "is_supported", lambda: False)
    supervisor = Supervisor()
    await supervisor.start_fork_server()
    with capture_logs() as lines:
        await supervisor.start_child(worker)
    supervisor.kill()
    await supervisor.stop()
    assert ways(lines) == ["executed"]


async def test_one_that_gives_up_waiting_for_a_child_does_not_stop_the_others() -> None:
    child = fork_client.ForkedProcess(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
    given_up, kept = (asyncio.create_task(child.wait()) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait({given_up})
    os.kill(child.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        assert await kept == -signal.SIGKILL


async def test_a_child_that_has_ended_is_sent_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    child, sent = fork_client.ForkedProcess(os.posix_spawn("/bin/true", ["true"], {})), []
    async with asyncio.timeout(30):
        assert await child.wait() == 0
    monkeypatch.setattr(os, "kill", lambda *signalled: sent.append(signalled))
    child.terminate()
    assert sent == []
