"""Keeps child processes running, and leaves none behind.

A child that dies is started again, after a pause that grows while it keeps dying. Children live in sessions of their
own, so that Ctrl-C on the terminal reaches the supervisor alone, which stops them in the order it wants. When the
supervisor itself is killed, the kernel kills its children (see `launch`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from app.clock import Clock

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
STEADY_AFTER_S: Final = 10.0
"""A child that lived this long has started well: its next pause is the first one again."""

_LAUNCH: Final = str(Path(__file__).with_name("launch.py"))
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Death:
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


OnDeath = Callable[[Death], Awaitable[None]]
"""Told of a death before the child is started again."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child to keep. `env` is set over our own environment; `stop_within_s` is how long it may take to obey SIGTERM;
    `orphan_signal` is what the kernel sends it when the supervisor is gone."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    stop_within_s: float = 10.0
    orphan_signal: signal.Signals = signal.SIGKILL
    on_death: OnDeath | None = None


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: Process
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """A set of children by name."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._children: dict[str, _Child] = {}

    async def keep(self, spec: ChildSpec) -> None:
        """Start a child, and start it again whenever it dies."""
        child = _Child(spec, await _start(spec))
        self._children[spec.name] = child
        child.keeper = asyncio.create_task(self._keep(child), name=f"keeper of {spec.name}")

    def pid(self, name: str) -> int:
        """The process id of a child, which changes with every restart."""
        return self._children[name].process.pid

    async def stop(self, *names: str) -> None:
        """SIGTERM these children (all, without names), and SIGKILL those that do not end in time."""
        children = [child for name, child in self._children.items() if not names or name in names]
        await asyncio.gather(*(self._stop(child) for child in children))
        for child in children:
            self._children.pop(child.spec.name, None)

    def kill(self) -> None:
        """SIGKILL every child now. `stop` still has to be awaited."""
        for child in self._children.values():
            if child.process.returncode is None:
                _signal_group(child.process.pid, signal.SIGKILL)

    async def _keep(self, child: _Child) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            code = await child.process.wait()
            death = Death(child.spec.name, child.process.pid, code, self._clock.monotonic() - started)
            if death.lived_s >= STEADY_AFTER_S:
                pause_s = FIRST_PAUSE_S
            log.warning("child.died", child=death.name, pid=death.pid, how=death.how, again_in_s=pause_s)
            await _mourn(child.spec, death)
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            child.process = await self._start_again(child.spec)

    async def _start_again(self, spec: ChildSpec) -> Process:
        while True:
            try:
                return await _start(spec)
            except OSError as error:  # no memory or no process left to be had: it passes
                log.error("child.not_started", child=spec.name, problem=str(error), again_in_s=LONGEST_PAUSE_S)
                await self._clock.sleep(LONGEST_PAUSE_S)

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


async def _mourn(spec: ChildSpec, death: Death) -> None:
    """Clear away what the dead child had started itself, and tell whoever wants to know."""
    _signal_group(death.pid, signal.SIGKILL)
    if spec.on_death is None:
        return
    try:
        await spec.on_death(death)
    except Exception:
        log.exception("child.death_not_handled", child=death.name)


async def _start(spec: ChildSpec) -> Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), str(int(spec.orphan_signal)), *spec.command),
        env={**os.environ, **spec.env},
        pass_fds=spec.pass_fds,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    log.info("child.started", child=spec.name, pid=process.pid)
    return process


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
