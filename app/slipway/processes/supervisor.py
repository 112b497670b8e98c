"""Starts child processes, restarts those that exit, and stops all of them in order.

A child that exits is restarted: at once, or after a pause if it repeatedly exits soon after its start
(`restart_delays`). A child that exits with `exit_codes.CONFIG` and has never been ready is not restarted.

Children that execute `slipway` are forked if that is possible (`forking`). All other children are started by `exec`.
Each child has its own session, so only the supervisor receives Ctrl-C from the terminal, and stops the children in
order. When the supervisor is killed, the kernel kills its children (see `exec_bound_to_parent` and `forking`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from slipway.clock import Clock
from slipway.errors import ConfigError
from slipway.processes import exit_codes
from slipway.processes.forking import Fork, Forker
from slipway.processes.readiness import VARIABLE, ReadinessListener
from slipway.processes.restart_delays import LONGEST_PAUSE_S, Restarts

log = structlog.get_logger(__name__)

MAX_PAUSE_OF_LAST_CHILD_S: Final = 2.0
"""If all children with the same command are paused, the last of them pauses for at most this many seconds. Its restart
shows whether the cause still exists. When it becomes ready, the others are restarted at once."""

_LAUNCH: Final = str(Path(__file__).with_name("exec_bound_to_parent.py"))
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ChildExit:
    """An exit of a child that the supervisor did not request. `code` is negative for a signal, as in `subprocess`."""

    name: str
    pid: int
    code: int
    lived_s: float

    @property
    def description(self) -> str:
        """Such as `exit code 1` or `SIGKILL`."""
        if self.code >= 0:
            return f"exit code {self.code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.code).name
        return f"signal {-self.code}"


OnExit = Callable[[ChildExit], Awaitable[None]]
"""Called after a child has exited and before it is restarted."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child to start and to restart."""

    name: str
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    """The arguments, if the command is `slipway`. Only such a child can be forked."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that are added to those of the supervisor, or replace them."""
    pass_fds: tuple[int, ...] = ()
    stop_within_s: float = 10.0
    """Seconds from SIGTERM to SIGKILL."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """The signal that the kernel sends to the child when the supervisor exits."""
    on_exit: OnExit | None = None


class Running(Protocol):
    """A child process, forked or executed."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def terminate(self) -> None: ...

    async def wait(self) -> int: ...


class _Child:
    """A child with its current process and the counts of its exits."""

    process: Running

    def __init__(self, spec: ChildSpec, on_ready: Callable[[_Child], None]) -> None:
        self.spec = spec
        self.readiness = ReadinessListener(lambda: on_ready(self))
        self.restarts = Restarts()
        self.served = False
        """Whether one of its processes has been ready."""
        self.restart_task: asyncio.Task[None] | None = None
        self.pause: asyncio.Event | None = None
        """Exists while a restart is delayed. Setting it restarts the child at once."""


class Supervisor:
    """A set of children by name."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.forker: Forker | None = None
        """Forks the children that execute `slipway`. While it is None, they are executed."""
        self._clock = clock or Clock()
        self._children: dict[str, _Child] = {}
        self._start_failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start_child(self, spec: ChildSpec) -> None:
        """Starts a child, and restarts it whenever it exits."""
        child = _Child(spec, self._skip_pauses)
        child.process = await self._start(child)
        self._children[spec.name] = child
        child.restart_task = asyncio.create_task(self._restart_after_exits(child), name=f"keeper of {spec.name}")

    async def run_until(self, stop_requested: asyncio.Event) -> None:
        """Returns when `stop_requested` is set. Raises `ConfigError` as soon as a child that has never been ready exits
        with `exit_codes.CONFIG`. The child has logged the reason, and a restart would fail in the same way."""
        waiting = asyncio.create_task(stop_requested.wait())
        try:
            await asyncio.wait((waiting, self._start_failure), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._start_failure.done():
            raise ConfigError(f"{self._start_failure.result()} cannot start; the reason is above")

    def pid(self, name: str) -> int:
        """The process id of a child, which changes with every restart."""
        return self._children[name].process.pid

    def is_ready(self, name: str) -> bool:
        """Whether the current process of a child has reported that it is ready."""
        return self._children[name].readiness.is_ready

    async def stop(self, *names: str) -> None:
        """Stops these children; without names, all children. Sends SIGTERM, and SIGKILL if a child does not exit in
        time."""
        children = [child for name, child in self._children.items() if not names or name in names]
        await asyncio.gather(*(self._stop(child) for child in children))
        for child in children:
            child.readiness.close()
            self._children.pop(child.spec.name, None)

    def kill(self) -> None:
        """Sends SIGKILL to every child. `stop` must still be awaited."""
        for child in self._children.values():
            if child.process.returncode is None:
                _signal_group(child.process.pid, signal.SIGKILL)

    async def _restart_after_exits(self, child: _Child) -> None:
        while True:
            started = self._clock.monotonic()
            code = await child.process.wait()
            ended = ChildExit(child.spec.name, child.process.pid, code, self._clock.monotonic() - started)
            child.served = child.readiness.poll() or child.served
            if code == exit_codes.CONFIG and not child.served:
                return self._fail_start(child)
            pause_s, how = self._restart_pause_s(child, ended), ended.description
            log.warning("child.exited", child=ended.name, pid=ended.pid, how=how, retry_in_s=pause_s)
            if child.restarts.just_became_crash_loop:
                log.error("child.crash_loop", child=ended.name, exits=child.restarts.consecutive, how=how)
            await _handle_exit(child.spec, ended)
            await self._pause(child, pause_s)
            child.process = await self._restart(child)

    def _fail_start(self, child: _Child) -> None:
        log.error("child.cannot_start", child=child.spec.name, pid=child.process.pid)
        if not self._start_failure.done():
            self._start_failure.set_result(child.spec.name)

    def _restart_pause_s(self, child: _Child, ended: ChildExit) -> float:
        pause_s = child.restarts.record_exit(was_ready=child.readiness.poll(), lived_s=ended.lived_s)
        others = [other for other in self._same_command(child) if other is not child]
        if others and all(other.pause for other in others):
            return min(pause_s, MAX_PAUSE_OF_LAST_CHILD_S)
        return pause_s

    def _same_command(self, child: _Child) -> list[_Child]:
        return [other for other in self._children.values() if other.spec.command == child.spec.command]

    def _skip_pauses(self, child: _Child) -> None:
        """Restarts all paused children with the command of `child`, which has become ready: they can become ready as
        well."""
        for other in self._same_command(child):
            if other.pause is not None:
                other.pause.set()

    async def _pause(self, child: _Child, pause_s: float) -> None:
        if pause_s:
            child.pause = asyncio.Event()
            skipping = asyncio.create_task(child.pause.wait())
            sleeping = asyncio.create_task(self._clock.sleep(pause_s))
            try:
                await asyncio.wait((skipping, sleeping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                child.pause = None
                skipping.cancel()
                sleeping.cancel()

    async def _restart(self, child: _Child) -> Running:
        while True:
            try:
                return await self._start(child)
            except OSError as error:  # no memory or process is available; that is temporary
                log.error("child.not_started", child=child.spec.name, problem=str(error), retry_in_s=LONGEST_PAUSE_S)
                await self._clock.sleep(LONGEST_PAUSE_S)

    async def _start(self, child: _Child) -> Running:
        spec, readiness = child.spec, child.readiness.open()
        env, descriptors = {**os.environ, **spec.env, VARIABLE: str(readiness)}, (readiness, *spec.pass_fds)
        try:
            process = await self._fork(spec, env, descriptors)
            how = "forked" if process else "executed"
            process = process or await _execute(spec, env, descriptors)
        finally:
            os.close(readiness)
        log.info("child.started", child=spec.name, pid=process.pid, how=how)
        return process

    async def _fork(self, spec: ChildSpec, env: dict[str, str], descriptors: tuple[int, ...]) -> Running | None:
        """A forked child. None if it must be executed."""
        if not spec.arguments or self.forker is None:
            return None
        main, title = self.forker.command(spec.arguments), " ".join(spec.command)
        return await self.forker.fork(Fork(main, title, env, descriptors, spec.orphan_signal))

    async def _stop(self, child: _Child) -> None:
        if child.restart_task is not None:
            child.restart_task.cancel()
            await asyncio.wait([child.restart_task])
        process = child.process
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(child.spec.stop_within_s):
                await process.wait()
        except TimeoutError:
            log.warning("child.killed", child=child.spec.name, pid=process.pid, after_s=child.spec.stop_within_s)
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


async def _handle_exit(spec: ChildSpec, ended: ChildExit) -> None:
    """Kills the processes that the child has started, and calls `spec.on_exit`."""
    _signal_group(ended.pid, signal.SIGKILL)
    if spec.on_exit is None:
        return
    try:
        await spec.on_exit(ended)
    except Exception:
        log.exception("child.exit_handler_failed", child=ended.name)


async def _execute(spec: ChildSpec, env: dict[str, str], descriptors: tuple[int, ...]) -> Running:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), str(int(spec.orphan_signal)), *spec.command),
        env=env,
        pass_fds=descriptors,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a child and to the processes that it has started, which are in its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


@contextlib.contextmanager
def stop_requests(on_second: Callable[[], None]) -> Iterator[asyncio.Event]:
    """Yields an event that is set by SIGINT, SIGTERM or SIGHUP. A second SIGINT or SIGTERM calls `on_second`."""
    loop, requested = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if requested.is_set() and number is not signal.SIGHUP:
            on_second()
        requested.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield requested
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
