"""Keeps child processes running, and leaves none behind.

A child that dies is started again: at once, or after a pause that grows while it dies before it is ready (`restarts`).
One that says that it can never start (`exits`) is not.
Children of our own program are forked from a template process that has imported everything (`nursery`), where the
system can do that and the template lives; the others, and those, are executed otherwise. Children live in sessions of
their own, so that Ctrl-C on the terminal reaches the supervisor alone, which stops them in the order it wants. When the
supervisor itself is killed, the kernel kills its children (see `launch` and `template`).
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
from slipway.processes.child_commands import slipway
from slipway.processes.fork_client import ForkClient, is_supported
from slipway.processes.fork_server import ForkRequest
from slipway.processes.readiness import VARIABLE, ReadinessListener
from slipway.processes.restart_delays import LONGEST_PAUSE_S, Restarts

log = structlog.get_logger(__name__)

MAX_PAUSE_OF_LAST_CHILD_S: Final = 2.0
"""Of several children with one command that all pause, the last waits no longer than this: one of them finds out
whether what ailed them is over, and when it becomes ready the others start at once."""

FORK_SERVER: Final = "fork-server"
"""The name under which the template process is kept."""

_LAUNCH: Final = str(Path(__file__).with_name("launch.py"))
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class ChildExit:
    """A child that ended though nobody had asked. `code` is negative for a signal, as in `subprocess`."""

    name: str
    pid: int
    code: int
    lived_s: float

    @property
    def how(self) -> str:
        """Such as `exit code 1` or `SIGKILL`."""
        if self.code >= 0:
            return f"exit code {self.code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.code).name
        return f"signal {-self.code}"


OnExit = Callable[[ChildExit], Awaitable[None]]
"""Told of a death before the child is started again."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child to keep. `env` is set over our own environment; `stop_within_s` is how long it may take to obey SIGTERM;
    `orphan_signal` is what the kernel sends it when the supervisor is gone. `arguments` are those of `slipway`, where
    the command is that: such a child may be forked."""

    name: str
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    stop_within_s: float = 10.0
    orphan_signal: signal.Signals = signal.SIGKILL
    on_exit: OnExit | None = None


class Running(Protocol):
    """A process that was started, in whichever way."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def terminate(self) -> None: ...

    async def wait(self) -> int: ...


class _Child:
    """A child that is kept: what it is, the process that it is now, and what it went through."""

    process: Running

    def __init__(self, spec: ChildSpec, on_ready: Callable[[_Child], None]) -> None:
        self.spec = spec
        self.readiness = ReadinessListener(lambda: on_ready(self))
        self.restarts = Restarts()
        self.served = False
        self.keeper: asyncio.Task[None] | None = None
        self.resting: asyncio.Event | None = None
        """Set to end its pause."""


class Supervisor:
    """A set of children by name."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._children: dict[str, _Child] = {}
        self._fork_client: ForkClient | None = None
        self._start_failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start_fork_server(self) -> None:
        """Keep a template process, from which children of our own program are forked. Nothing changes for them where
        the system cannot do that. The sooner it is called the sooner the first of them can start."""
        if is_supported():
            self._fork_client = ForkClient()
            arguments = ("fork-server", "--control", str(self._fork_client.theirs.fileno()))
            await self.keep(ChildSpec(FORK_SERVER, slipway(*arguments), pass_fds=(self._fork_client.theirs.fileno(),)))

    async def keep(self, spec: ChildSpec) -> None:
        """Start a child, and start it again whenever it dies."""
        child = _Child(spec, self._skip_pauses)
        child.process = await self._start(child)
        self._children[spec.name] = child
        child.keeper = asyncio.create_task(self._keep(child), name=f"keeper of {spec.name}")

    async def run_until(self, asked: asyncio.Event) -> None:
        """Return when it is asked for. Raises `ConfigError` as soon as a child that never served says that it never
        can (`exits.CONFIG`): it has told why, and starting it again would only tell it again."""
        asking = asyncio.create_task(asked.wait())
        try:
            await asyncio.wait((asking, self._start_failure), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
        if self._start_failure.done():
            raise ConfigError(f"{self._start_failure.result()} cannot start; the reason is above")

    def pid(self, name: str) -> int:
        """The process id of a child, which changes with every restart."""
        return self._children[name].process.pid

    async def stop(self, *names: str) -> None:
        """SIGTERM these children (all, without names), and SIGKILL those that do not end in time."""
        children = [child for name, child in self._children.items() if not names or name in names]
        await asyncio.gather(*(self._stop(child) for child in children))
        for child in children:
            child.readiness.end()
            self._children.pop(child.spec.name, None)
        if self._fork_client is not None and FORK_SERVER not in self._children:
            self._fork_client.close()
            self._fork_client = None

    def kill(self) -> None:
        """SIGKILL every child now. `stop` still has to be awaited."""
        for child in self._children.values():
            if child.process.returncode is None:
                _signal_group(child.process.pid, signal.SIGKILL)

    async def _keep(self, child: _Child) -> None:
        while True:
            started = self._clock.monotonic()
            code = await child.process.wait()
            death = ChildExit(child.spec.name, child.process.pid, code, self._clock.monotonic() - started)
            child.served = child.readiness.look() or child.served
            if code == exit_codes.CONFIG and not child.served:
                return self._fail_start(child)
            pause_s = self._pause_s(child, death)
            log.warning("child.died", child=death.name, pid=death.pid, how=death.how, again_in_s=pause_s)
            if child.restarts.just_became_crash_loop:
                log.error("child.crash_loop", child=death.name, deaths=child.restarts.in_a_row, how=death.how)
            await _handle_exit(child.spec, death)
            await self._rest(child, pause_s)
            child.process = await self._start_again(child)

    def _fail_start(self, child: _Child) -> None:
        log.error("child.cannot_start", child=child.spec.name, pid=child.process.pid)
        if not self._start_failure.done():
            self._start_failure.set_result(child.spec.name)

    def _pause_s(self, child: _Child, death: ChildExit) -> float:
        pause_s = child.restarts.record_exit(was_ready=child.readiness.look(), lived_s=death.lived_s)
        others = [other for other in self._same_command(child) if other is not child]
        if others and all(other.resting for other in others):
            return min(pause_s, MAX_PAUSE_OF_LAST_CHILD_S)
        return pause_s

    def _same_command(self, child: _Child) -> list[_Child]:
        return [other for other in self._children.values() if other.spec.command == child.spec.command]

    def _skip_pauses(self, child: _Child) -> None:
        """One that is like them is readiness, so they can be."""
        for other in self._same_command(child):
            if other.resting is not None:
                other.resting.set()

    async def _rest(self, child: _Child, pause_s: float) -> None:
        if pause_s:
            child.resting = asyncio.Event()
            waking = asyncio.create_task(child.resting.wait())
            sleeping = asyncio.create_task(self._clock.sleep(pause_s))
            try:
                await asyncio.wait((waking, sleeping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                child.resting = None
                waking.cancel()
                sleeping.cancel()

    async def _start_again(self, child: _Child) -> Running:
        while True:
            try:
                return await self._start(child)
            except OSError as error:  # no memory or no process left to be had: it passes
                log.error("child.not_started", child=child.spec.name, problem=str(error), again_in_s=LONGEST_PAUSE_S)
                await self._clock.sleep(LONGEST_PAUSE_S)

    async def _start(self, child: _Child) -> Running:
        spec, readiness = child.spec, child.readiness.begin()
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
        """A child of the template process; None where there is none, or it makes none."""
        template = self._children.get(FORK_SERVER)
        if (
            not spec.arguments
            or self._fork_client is None
            or template is None
            or template.process.returncode is not None
        ):
            return None
        shown, orphan_signal = " ".join(spec.command), int(spec.orphan_signal)
        order = ForkRequest(spec.arguments, shown, env, descriptors, os.getpid(), orphan_signal)
        return await self._fork_client.fork(order, descriptors, template.process.wait)

    async def _stop(self, child: _Child) -> None:
        if child.keeper is not None:
            child.keeper.cancel()
            await asyncio.wait([child.keeper])
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


async def _handle_exit(spec: ChildSpec, death: ChildExit) -> None:
    """Clear away what the dead child had started itself, and tell whoever wants to know."""
    _signal_group(death.pid, signal.SIGKILL)
    if spec.on_exit is None:
        return
    try:
        await spec.on_exit(death)
    except Exception:
        log.exception("child.death_not_handled", child=death.name)


async def _execute(spec: ChildSpec, env: dict[str, str], descriptors: tuple[int, ...]) -> Running:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), str(int(spec.orphan_signal)), *spec.command),
        env=env,
        pass_fds=descriptors,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a child and whatever it started in its session's first group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


@contextlib.contextmanager
def stop_requests(on_second: Callable[[], None]) -> Iterator[asyncio.Event]:
    """An event that SIGINT, SIGTERM or SIGHUP sets; a second SIGINT or SIGTERM calls `on_second`."""
    loop, requested = asyncio.get_running_loop(), asyncio.Event()

    def ask(number: signal.Signals) -> None:
        if requested.is_set() and number is not signal.SIGHUP:
            on_second()
        requested.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, ask, number)
    try:
        yield requested
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
