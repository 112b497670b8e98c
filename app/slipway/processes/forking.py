"""Forks children of a supervisor that has imported the heavy modules (LangGraph and Slipway, not the project's code).

A forked child starts in milliseconds and shares the memory of these modules. It is an ordinary child of the supervisor,
so the supervisor has its exit code at once, and the kernel kills it when the supervisor exits.

A fork copies only the thread that calls it. A lock that another thread holds would stay locked in the child for ever,
so `Forker.fork` refuses to fork while this process has a second thread, whoever started it. For the same reason the
supervisor uses Redis only in forked processes (`lease_reclaim`): the event loop resolves host names in threads.

A child never returns to the code of the supervisor, whose tasks, context managers and event loop it also has in its
memory. It executes its function and exits.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

from slipway.processes.child_commands import name_process
from slipway.processes.exec_bound_to_parent import PR_SET_PDEATHSIG

log = structlog.get_logger(__name__)

_STANDARD_DESCRIPTORS: Final = frozenset({0, 1, 2})


def is_supported() -> bool:
    """Whether the system supports `Forker`: Linux with process descriptors."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or a sandbox that does not allow the system call
        return False
    return True


def run_without_threads(main: Coroutine[Any, Any, None]) -> None:
    """Like `asyncio.run`. Python 3.11 would start a thread for each child that is executed, to wait for its exit."""
    if sys.version_info < (3, 12) and is_supported():
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(main)


@dataclass(frozen=True, slots=True)
class Fork:
    """What a child executes, and what it gets from its parent."""

    main: Callable[[], None]
    process_title: str
    """The command line that the process list shows."""
    env: Mapping[str, str]
    """All environment variables of the child."""
    descriptors: tuple[int, ...] = ()
    """The only descriptors, beside standard output and standard error, that stay open in the child."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """The signal that the kernel sends to the child when its parent exits."""


class ForkedProcess:
    """A child that was forked. It has the methods of `asyncio.subprocess.Process` that a supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._exit_code: asyncio.Future[int] = self._loop.create_future()
        self._descriptor = os.pidfd_open(pid)
        self._loop.add_reader(self._descriptor, self._reap)

    async def wait(self) -> int:
        """Waits for the exit. Returns the exit code, which is negative for a signal."""
        return await asyncio.shield(self._exit_code)

    def terminate(self) -> None:
        """Sends SIGTERM, unless the child has exited, because its pid may then belong to another process."""
        self._send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL, unless the child has exited."""
        self._send_signal(signal.SIGKILL)

    def _send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if not self._exit_code.done():
            self._exit_code.set_result(self.returncode)


class Forker:
    """Forks children of this process. Created when the heavy modules are imported. `main` is the console script."""

    def __init__(self, main: Callable[[], None]) -> None:
        import setproctitle  # exists on Linux only

        # the first call finds argv in memory, which must happen before the environment changes
        comm = Path("/proc/self/comm").read_text().strip()
        setproctitle.setproctitle(setproctitle.getproctitle())
        name_process(comm)
        # objects that are never collected are never written to, so their memory stays shared with the children
        gc.collect()
        gc.freeze()
        self._main = main

    def command(self, arguments: tuple[str, ...]) -> Callable[[], None]:
        """What a child calls to execute `slipway <arguments>`."""

        def main() -> None:
            sys.argv[1:] = arguments
            self._main()

        return main

    async def fork(self, fork: Fork) -> ForkedProcess | None:
        """Forks a child. None if that is not possible: this process has several threads, or no process can be created.
        The log says why."""
        if threads := other_threads():
            log.warning("fork.refused", threads=threads)
            return None
        loop = asyncio.get_running_loop()
        forked: asyncio.Future[ForkedProcess] = loop.create_future()

        def fork_unless_cancelled() -> None:
            if forked.cancelled():
                return
            try:
                forked.set_result(_watched(fork_now(fork)))
            except OSError as error:
                forked.set_exception(error)

        # in a callback of the event loop: in a child that was forked by a task, Python 3.14 starts no other task
        loop.call_soon(fork_unless_cancelled)
        try:
            return await forked
        except OSError as error:
            log.warning("fork.failed", problem=str(error))
            return None
        except asyncio.CancelledError:
            if forked.done() and not forked.cancelled():
                forked.result().kill()
            raise


def _watched(pid: int) -> ForkedProcess:
    """Kills the child and raises `OSError` if there is no descriptor left to wait for its exit."""
    try:
        return ForkedProcess(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def fork_now(fork: Fork) -> int:
    """Forks a child and returns its pid. Never returns in the child."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal handler of the parent must not run in the child: it would write to the parent's event loop.
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _execute(fork, parent, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _execute(fork: Fork, parent: int, signal_mask: set[int]) -> NoReturn:
    """Executes the function of a child and exits the process, whatever is raised, with the exit code that Python would
    have."""
    code = 1
    try:
        _separate_from_parent(fork, parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal_mask)
        fork.main()
        code = 0
    except SystemExit as raised:
        code = _exit_code(raised.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _exit_like_python(code)


def _exit_code(code: object) -> int:
    """The exit code of a `SystemExit`. Anything but a number is printed."""
    if code is None or isinstance(code, int):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


def _exit_like_python(code: int) -> NoReturn:
    """Exits after the end of all threads that are not daemons, and after the functions of `atexit`, by which libraries
    send what they have buffered. `sys.exit` would first leave the context managers of the parent."""
    try:
        with suppress(Exception):
            threading._shutdown()  # type: ignore[attr-defined]  # as `multiprocessing` does
        with suppress(Exception):
            atexit._run_exitfuncs()
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(code)


def _separate_from_parent(fork: Fork, parent: int) -> None:
    """Gives the child its own session, signals, descriptors, environment and title."""
    import setproctitle

    gc.freeze()  # an object of the parent that is collected here might close a descriptor that the child has opened
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(fork.orphan_signal))
    if os.getppid() != parent:  # the parent exited before the signal was set
        os._exit(1)
    if sys.version_info < (3, 12):
        asyncio.set_event_loop_policy(None)  # the former one would close descriptors of the parent's event loop
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP):  # those that a supervisor handles
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _close_descriptors_except({*fork.descriptors, *_STANDARD_DESCRIPTORS})
    os.environ.clear()
    os.environ.update(fork.env)
    setproctitle.setproctitle(fork.process_title)


def _close_descriptors_except(kept: set[int]) -> None:
    """Also replaces standard input by the null device."""
    for descriptor in {int(link.name) for link in Path("/proc/self/fd").iterdir()} - kept:
        with suppress(OSError):  # the descriptor of the listed folder
            os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def other_threads() -> int:
    """How many threads this process has beside this one, also those that no Python code has started."""
    return len(list(Path("/proc/self/task").iterdir())) - 1
