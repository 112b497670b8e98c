"""Leases: which process owns which runs, and until when, on the server's clock.

A heartbeat renews them (`Heart`) from a thread of its own, so that user code which blocks the event loop does not lose
them. The reaper (`slipway_workers.duties.reaper`) takes back what expired; `expire_process` does so at once for a
process that is known to be dead.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.attempt import Attempt
from slipway.runs.cancel_reasons import Action
from slipway.runs.scripts import Grace, Scripts
from slipway.settings import Settings

log = structlog.get_logger(__name__)

RETRY_PAUSE_MS: Final = 500
"""How much longer each further attempt of a run waits, so that a poison run does not take every worker down."""


def silence_s(settings: Settings) -> float:
    """When nobody has given a sign of life for so long, it is the server that was away. Less than what a lease has
    left after a heartbeat, so that no lease ends in a silence that goes unnoticed."""
    return (settings.lease_s - settings.heartbeat_s) / 2


def grace_of(settings: Settings) -> Grace:
    """After an outage of the server everybody has one lease to report in."""
    return {"silence_ms": int(silence_s(settings) * 1000), "lease_ms": int(settings.lease_s * 1000)}


def worker_id() -> str:
    """A name for this process that no other process has or had: host, process id and chance."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"


class Heart:
    """Renews the leases of one process from a thread of its own, with a connection of its own. `listed` says whether
    the process is shown among the living workers.

    The server decides who owns a run; this process's own clock only makes it doubt that early. Leases are trusted for
    `lease_s` less an eighth, from the moment in which a beat that renewed them was begun."""

    def __init__(self, address: Address, keys: Keys, worker: str, settings: Settings, *, listed: bool) -> None:
        self.worker = worker
        self._address, self._keys, self._listed = address, keys, listed
        self._lease_ms = int(settings.lease_s * 1000)
        self._beat_s = settings.heartbeat_s
        self._trust_s = settings.lease_s * 7 / 8
        self._trusted_until = 0.0
        self._grace = grace_of(settings)
        self._attempts: dict[str, Attempt] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="heartbeat", daemon=True)

    async def start(self) -> None:
        """Begin to beat."""
        self._owner = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = self._owner.create_future()
        self._thread.start()
        await self._begun

    async def stop(self) -> None:
        """Say good-bye and end the thread."""
        self._own.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join, self._beat_s + 1)

    def hold(self, attempt: Attempt) -> None:
        """Renew this attempt's lease, which has just been taken, from now on. An older attempt of the same run in this
        process has lost it."""
        attempt.surely_ours = partial(self._trusts, time.monotonic() + self._trust_s)
        with self._lock:
            older = self._attempts.get(attempt.run.run_id)
            self._attempts[attempt.run.run_id] = attempt
        if older is not None:
            older.lose()

    def _trusts(self, taken_until: float) -> bool:
        return time.monotonic() < max(taken_until, self._trusted_until)

    def let_go(self, attempt: Attempt) -> None:
        """Renew it no more."""
        with self._lock:
            if self._attempts.get(attempt.run.run_id) is attempt:
                del self._attempts[attempt.run.run_id]

    def hear(self, message: bytes | None) -> None:
        """A message of this process's control channel, `run@created word`; what a lost one said, the next beat says
        again. An earlier release sends no time of creation."""
        if message is None:
            return
        target, _, word = message.decode().partition(" ")
        run_id, _, incarnation = target.partition("@")
        attempt = self._attempts.get(run_id)
        if attempt is not None and incarnation in ("", attempt.run.incarnation):
            _pass_on(attempt, word)

    async def _live(self) -> None:
        self._own = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._owner.call_soon_threadsafe(self._begun.set_result, None)
        # a connection that has fallen silent is replaced while the leases still hold
        pipeline = Pipeline(
            self._address, f"heart {self.worker}", patience_s=self._beat_s, answer_within_s=self._beat_s
        )
        if not await self._connected(pipeline):
            return
        scripts = Scripts(pipeline, self._keys)
        while not self._stopping.is_set():
            await self._beat(scripts, gone=False)
            await self._pause()
        await self._beat(scripts, gone=True)
        await pipeline.close()

    async def _connected(self, pipeline: Pipeline) -> bool:
        while not self._stopping.is_set():
            try:
                await pipeline.open()
                return True
            except StoreUnavailable as error:
                log.warning("heartbeat.missed", problem=str(error))
                await self._pause()
        return False

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._beat_s):
                await self._stopping.wait()

    async def _beat(self, scripts: Scripts, *, gone: bool) -> None:
        with self._lock:
            held = dict(self._attempts)
        begun = time.monotonic()
        try:
            words = await scripts.heartbeat(
                self.worker,
                [(run_id, attempt.number, attempt.run.incarnation) for run_id, attempt in held.items()],
                lease_ms=self._lease_ms,
                listed=self._listed,
                gone=gone,
                grace=self._grace,
            )
        except StoreUnavailable as error:
            log.warning("heartbeat.missed", problem=str(error))
            return
        except Exception:  # whatever the server answers, the next beat may succeed
            log.exception("heartbeat.refused")
            return
        self._trusted_until = begun + self._trust_s
        for run_id, word in words:
            self._owner.call_soon_threadsafe(self._told, held[run_id], word)

    def _told(self, attempt: Attempt, word: str) -> None:
        if self._attempts.get(attempt.run.run_id) is attempt:
            _pass_on(attempt, word)


def _pass_on(attempt: Attempt, word: str) -> None:
    """What the server says of an attempt's run: `lost`, or how to cancel it."""
    if word == "lost":
        attempt.lose()
    else:
        attempt.stop(Action(word))


async def expire_process(settings: Settings, pid: int) -> list[str]:
    """Take back at once what a process of this machine held, because it is known to be dead. Returns the runs."""
    pipeline = Pipeline(Address(settings.redis), "reaper", patience_s=settings.redis_patience_web_s)
    await pipeline.open()
    try:
        taken = await Scripts(pipeline, Keys(settings.key_prefix)).run_reap(
            event_ttl_s=settings.event_ttl_s,
            pause_ms=RETRY_PAUSE_MS,
            worker=f"{platform.node()}:{pid}:",
        )
    finally:
        await pipeline.close()
    return [run_id for run_id, _, _ in taken]
