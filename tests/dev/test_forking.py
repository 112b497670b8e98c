"""Children that a supervisor forks: it treats them like other children, and they get nothing that is not theirs.

The tests use workers that wait for an unavailable Redis: they keep running and import no project.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from slipway.processes import exit_codes
from slipway.processes.child_commands import slipway
from slipway.processes.forking import Fork, ForkedProcess, Forker
from slipway.processes.supervisor import ChildSpec, Supervisor
from tests.dev.test_supervisor import has_exited
from tests.environment import PYTHON_PATH, bare_environment
from tests.waiting import Eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="on other systems children are executed, not forked"),
    pytest.mark.processes,
]

ENVIRONMENT = {"PYTHONPATH": PYTHON_PATH}


class ForkingSupervisor:
    """`tests.dev.forking_supervisor` with the workers of a folder."""

    def __init__(self, folder: Path) -> None:
        self.config, self._log = folder / "langgraph.json", folder / "log"
        self.passed, self.kept = folder / "passed", folder / "kept"
        self.config.write_text('{"graphs": {"a": "./a.py:graph"}}')
        for file in (self.passed, self.kept, self._log):
            file.touch()
        self._no_redis = f"unix://{folder}/none.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *workers: str, **settings: Any) -> subprocess.Popen[bytes]:
        given = {
            "workers": workers,
            "arguments": ("worker", "--config", str(self.config)),
            "env": {"SLIPWAY_REDIS_URL": self._no_redis, "OF_CHILD": "1"},
            "passed": str(self.passed),
            "kept": str(self.kept),
        }
        command = (sys.executable, "-m", "tests.dev.forking_supervisor", json.dumps(given | settings))
        with self._log.open("ab") as log:
            env = bare_environment() | ENVIRONMENT
            self.process = subprocess.Popen(command, env=env, stderr=log)
        return self.process

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [line for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def started(self) -> dict[str, psutil.Process]:
        """The current process of each child."""
        return {line["child"]: psutil.Process(line["pid"]) for line in self.logged("child.started")}

    def start_methods(self) -> list[str]:
        """How each child was started: `forked` or `executed`."""
        return [line["how"] for line in self.logged("child.started")]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[ForkingSupervisor]:
    supervisor = ForkingSupervisor(tmp_path)
    yield supervisor
    if supervisor.process is not None:
        supervisor.process.kill()
        supervisor.process.wait(30)


def open_files(process: psutil.Process) -> list[str]:
    """What the descriptors of a process refer to, beside its standard streams."""
    files = []
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if int(link.name) > 2:
                files.append(str(link.readlink()))
    return files


def has_name_and_title(process: psutil.Process, name: str, title: list[str]) -> bool:
    """Whether `ps` shows this name and this command line."""
    arguments = Path(f"/proc/{process.pid}/cmdline").read_text().replace("\0", " ").split()
    return (process.name(), arguments) == (name, title)


async def test_a_forked_child_is_a_child_of_the_supervisor_with_its_own_session_title_and_files(
    supervisor: ForkingSupervisor, eventually: Eventually
) -> None:
    process = supervisor.start("worker", "other")
    await eventually(lambda: len(supervisor.start_methods()) == 2)
    assert supervisor.start_methods() == ["forked", "forked"]
    title = list(slipway("worker", "--config", str(supervisor.config)))
    children = list(supervisor.started().values())
    for child in children:
        await eventually(partial(leads_its_session, child.pid))
        assert child.ppid() == process.pid
        await eventually(partial(has_name_and_title, child, "slipway worker", title))
        files = open_files(child)
        assert files.count(str(supervisor.passed)) == 1
        assert str(supervisor.kept) not in files
    pipes = [{file for file in open_files(child) if file.startswith(("pipe:", "socket:"))} for child in children]
    assert not set.intersection(*pipes), "no pipe or socket of the supervisor or of the other child"
    psutil.Process(process.pid).terminate()
    assert process.wait(30) == 0
    assert all(has_exited(child.pid) for child in children)


async def test_a_killed_child_is_forked_again(supervisor: ForkingSupervisor, eventually: Eventually) -> None:
    supervisor.start("worker")
    await eventually(lambda: supervisor.start_methods() == ["forked"])
    supervisor.started()["worker"].kill()
    await eventually(lambda: supervisor.start_methods() == ["forked", "forked"])
    assert [line["how"] for line in supervisor.logged("child.exited")] == ["SIGKILL"]


async def test_forked_children_end_with_a_killed_supervisor(
    supervisor: ForkingSupervisor, eventually: Eventually
) -> None:
    """Also those that it is about to start."""
    process = supervisor.start(*(f"worker-{number}" for number in range(8)))
    await eventually(lambda: len(supervisor.start_methods()) >= 4)
    process.kill()
    process.wait(30)
    await eventually(lambda: not processes_with(supervisor.config))
    assert set(supervisor.start_methods()) == {"forked"}


def leads_its_session(pid: int) -> bool:
    return os.getsid(pid) == pid


def processes_with(path: Path) -> set[int]:
    """The ids of the running processes whose command line contains this path."""
    pids = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(path) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                pids.add(process.pid)
    return pids


def test_a_forked_child_with_a_wrong_setting_is_not_restarted(supervisor: ForkingSupervisor) -> None:
    process = supervisor.start("worker", arguments=("worker", "--config", "nowhere"))
    assert process.wait(30) == exit_codes.CONFIG
    assert (supervisor.start_methods(), supervisor.logged("child.exited")) == (["forked"], [])


async def test_a_supervisor_with_a_second_thread_executes_its_children(
    supervisor: ForkingSupervisor, eventually: Eventually
) -> None:
    """The thread may hold a lock, which would never be released in a forked child."""
    process = supervisor.start("worker", thread=True)
    await eventually(lambda: supervisor.start_methods() == ["executed"])
    process.send_signal(signal.SIGUSR1)
    await eventually(lambda: psutil.Process(process.pid).num_threads() == 1)
    supervisor.started()["worker"].kill()
    await eventually(lambda: supervisor.start_methods() == ["executed", "forked"])


CHILD = """
import asyncio, atexit, json, os, signal, sys, threading
from slipway.processes.forking import Fork, Forker, run_without_threads

def report():
    async def main():
        return len(asyncio.all_tasks())

    defaults = {signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, None}
    result = {
        "signals": [int(n) for n in signal.valid_signals() if signal.getsignal(n) not in defaults],
        "blocked": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "wakeup": signal.set_wakeup_fd(-1),
        "threads": len(os.listdir("/proc/self/task")),
        "tasks": asyncio.run(main()),
        "stdin": os.readlink("/proc/self/fd/0"),
        "env": dict(os.environ),
    }
    print(json.dumps(result))

def end(how):
    threading.Thread(target=lambda: (threading.Event().wait(0.05), print("thread ended"))).start()
    atexit.register(print, "atexit")
    exec(how)

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "signal of the parent")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    executed = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        process = await Forker(lambda: None).fork(Fork(eval(sys.argv[1]), "child", {"A": "1"}))
        sys.exit(await process.wait())
    finally:
        executed.kill()
        await executed.wait()
        print("left")

run_without_threads(main())
"""


def forked(function: str) -> tuple[int, str, list[str]]:
    """Executes the expression in a forked process. Returns its exit code, standard error, and the lines of its standard
    output and of that of its parent, which writes `left` at its end."""
    command = (sys.executable, "-c", CHILD, function)
    env = bare_environment() | ENVIRONMENT
    done = subprocess.run(
        command, env=env, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stderr, done.stdout.splitlines()


def test_a_forked_child_has_no_signal_handler_task_input_or_variable_of_its_parent() -> None:
    code, error, (reported, left) = forked("report")
    assert (code, error, left) == (0, "", "left")
    assert json.loads(reported) == {
        "signals": [],
        "blocked": [int(signal.SIGUSR2)],
        "wakeup": -1,
        "threads": 1,
        "tasks": 1,
        "stdin": os.devnull,
        "env": {"A": "1"},
    }


@pytest.mark.parametrize(
    ("how", "code", "printed"),
    [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('a message')", 1, "a message"),
        ("raise ValueError('unexpected')", 1, "ValueError: unexpected"),
    ],
)
def test_a_forked_child_exits_like_any_python_process(how: str, code: int, printed: str) -> None:
    """Its threads end, the functions of `atexit` are called once, and it leaves no context manager of its parent."""
    exit_code, error, lines = forked(f"lambda: end({how!r})")
    assert (exit_code, lines) == (code, ["thread ended", "atexit", "left"])
    assert printed in error
    assert bool(printed) is bool(error)


def test_a_forked_child_whose_parent_has_exited_does_not_continue() -> None:
    source = (
        "import os; from slipway.processes.forking import Fork, _separate_from_parent; "
        "_separate_from_parent(Fork(print, '', {}), parent=os.getpid()); print('continued')"
    )
    child = subprocess.run((sys.executable, "-c", source), start_new_session=False, stdout=subprocess.PIPE, check=False)
    assert (child.stdout, child.returncode) == (b"", 1)


async def test_a_cancelled_fork_leaves_no_process(monkeypatch: pytest.MonkeyPatch, eventually: Eventually) -> None:
    def spawn(fork: Fork) -> int:
        pids.append(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
        asyncio.get_running_loop().call_soon(forking.cancel)  # before the task continues
        return pids[-1]

    pids: list[int] = []
    monkeypatch.setattr("slipway.processes.forking.fork_now", spawn)
    monkeypatch.setattr("slipway.processes.forking.other_threads", lambda: 0)
    forker = Forker(lambda: None)
    forking = asyncio.create_task(forker.fork(Fork(print, "", {})))
    with pytest.raises(asyncio.CancelledError):
        await forking
    await eventually(lambda: not psutil.pid_exists(pids[0]))
    forking = asyncio.create_task(forker.fork(Fork(print, "", {})))
    await asyncio.sleep(0)
    forking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forking
    assert len(pids) == 1, "nothing is forked when the request was cancelled before"


async def test_a_supervisor_without_a_forker_executes_its_children(tmp_path: Path, eventually: Eventually) -> None:
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}}')
    arguments = ("worker", "--config", str(tmp_path / "langgraph.json"))
    env = {"SLIPWAY_REDIS_URL": f"unix://{tmp_path}/none.sock", **ENVIRONMENT}
    supervisor = Supervisor()
    await supervisor.start_child(ChildSpec("worker", slipway(*arguments), arguments, env))
    child = psutil.Process(supervisor.pid("worker"))
    await eventually(lambda: child.cmdline() == list(slipway(*arguments)))
    supervisor.kill()
    await supervisor.stop()


async def test_a_cancelled_wait_for_a_child_does_not_end_other_waits() -> None:
    child = ForkedProcess(os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}))
    cancelled, waiting = (asyncio.create_task(child.wait()) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    os.kill(child.pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        assert await waiting == -signal.SIGKILL


@pytest.mark.parametrize("send", [ForkedProcess.terminate, ForkedProcess.kill])
async def test_no_signal_is_sent_to_a_child_that_exited(
    send: Callable[[ForkedProcess], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, sent = ForkedProcess(os.posix_spawn("/bin/true", ["true"], {})), []
    async with asyncio.timeout(30):
        assert await child.wait() == 0
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    send(child)
    assert sent == []
