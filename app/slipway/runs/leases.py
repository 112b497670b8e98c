"""Leases: which attempt owns which run, and until when, on the clock of Redis.

`LeaseRenewer` sends heartbeats from its own thread, so that user code that blocks the event loop does not lose leases.
The reaper (`slipway_workers.duties.reaper`) reclaims leases that expired. `reclaim_process` reclaims those of a process
at once; the supervisor calls it when a child process exits.
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
from slipway.runs.scripts import Grace, RunScripts
from slipway.settings import Settings

log = structlog.get_logger(__name__)

RETRY_PAUSE_MS: Final = 500
"""Each further attempt of a run waits this much longer than the one before, so that a run that kills its worker does
not stop all workers."""


def outage_after_s(settings: Settings) -> float:
    """Seconds without any heartbeat after which Redis itself counts as having been unavailable. Shorter than what
    remains of a lease after a heartbeat, so that every outage in which a lease expires is noticed."""
    return (settings.lease_s - settings.heartbeat_s) / 2


def grace_period_of(settings: Settings) -> Grace:
    """After an outage of Redis, live workers have one lease of time to send a heartbeat."""
    return {"silence_ms": int(outage_after_s(settings) * 1000), "lease_ms": int(settings.lease_s * 1000)}


def worker_id() -> str:
    """An id for this process that no other process has or had: host, process id and a random part."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"


class LeaseRenewer:
    """Renews the leases of one process, from its own thread and over its own connection. `is_worker` says whether the
    process is listed among the live workers.

    Redis decides which attempt owns a run. The local clock only ends the trust in a lease earlier: a lease counts as
    owned for 7/8 of `lease_s`, measured from the moment when the heartbeat that renewed it was sent.
    """

    def __init__(self, address: Address, keys: Keys, worker: str, settings: Settings, *, is_worker: bool) -> None:
        self.worker = worker
        self._address, self._keys, self._is_worker = address, keys, is_worker
        self._lease_ms = int(settings.lease_s * 1000)
        self._interval_s = settings.heartbeat_s
        self._trusted_for_s = settings.lease_s * 7 / 8
        self.trusted_until = 0.0
        """Until when, by `time.monotonic`, the leases that the last successful heartbeat renewed are trusted."""
        self._grace = grace_period_of(settings)
        self._attempts: dict[str, Attempt] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="heartbeat", daemon=True)

    async def start(self) -> None:
        """Returns when the thread runs; its connection may not be open yet."""
        self._main_loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._main_loop.create_future()
        self._thread.start()
        await self._started

    async def stop(self) -> None:
        """Sends a last heartbeat, which removes the process from the live workers, and ends the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join, self._interval_s + 1)

    def add(self, attempt: Attempt) -> None:
        """Starts to renew the lease of an attempt that was claimed just now. If this process still has an older
        attempt of the same run, that attempt has lost the run and is stopped."""
        attempt.lease_is_trusted = partial(self._is_trusted, time.monotonic() + self._trusted_for_s)
        with self._lock:
            older = self._attempts.get(attempt.run.run_id)
            self._attempts[attempt.run.run_id] = attempt
        if older is not None:
            older.mark_fenced()

    @property
    def run_ids(self) -> frozenset[str]:
        """The runs whose leases it renews now."""
        with self._lock:
            return frozenset(self._attempts)

    def _is_trusted(self, claim_trusted_until: float) -> bool:
        return time.monotonic() < max(claim_trusted_until, self.trusted_until)

    def remove(self, attempt: Attempt) -> None:
        """Stops renewing the lease."""
        with self._lock:
            if self._attempts.get(attempt.run.run_id) is attempt:
                del self._attempts[attempt.run.run_id]

    def on_control_message(self, message: bytes | None) -> None:
        """Handles a message of this process's control channel: `<run id>@<created, µs> <instruction>`. The next
        heartbeat returns the same instruction again, so a lost message only costs time. Messages from earlier releases
        have no time of creation."""
        if message is None:
            return
        target, _, instruction = message.decode().partition(" ")
        run_id, _, incarnation = target.partition("@")
        attempt = self._attempts.get(run_id)
        if attempt is not None and incarnation in ("", attempt.run.incarnation):
            _apply_instruction(attempt, instruction)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._main_loop.call_soon_threadsafe(self._started.set_result, None)
        # both timeouts are one interval, so that a connection that stopped working is replaced before leases expire
        timeout_s = self._interval_s
        pipeline = Pipeline(
            self._address, f"lease renewer {self.worker}", patience_s=timeout_s, reply_timeout_s=timeout_s
        )
        if not await self._open_with_retries(pipeline):
            return
        scripts = RunScripts(pipeline, self._keys)
        while not self._stopping.is_set():
            await self.send_heartbeat(scripts)
            await self._pause()
        await self.send_heartbeat(scripts, leaving=True)
        await pipeline.close()

    async def _open_with_retries(self, pipeline: Pipeline) -> bool:
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
            async with asyncio.timeout(self._interval_s):
                await self._stopping.wait()

    async def send_heartbeat(self, scripts: RunScripts, *, leaving: bool = False) -> None:
        """Sends one heartbeat and applies the reply. `leaving` removes the process from the live workers. A failure is
        only logged: the next heartbeat may succeed."""
        with self._lock:
            attempts = dict(self._attempts)
        sent_at = time.monotonic()
        try:
            instructions = await scripts.heartbeat(
                self.worker,
                [(run_id, attempt.number, attempt.run.incarnation) for run_id, attempt in attempts.items()],
                lease_ms=self._lease_ms,
                is_worker=self._is_worker,
                leaving=leaving,
                grace=self._grace,
            )
        except StoreUnavailable as error:
            log.warning("heartbeat.missed", problem=str(error))
            return
        except Exception:  # an unexpected reply must not end the thread; the next heartbeat may succeed
            log.exception("heartbeat.failed")
            return
        self.trusted_until = sent_at + self._trusted_for_s
        for run_id, instruction in instructions:
            self._main_loop.call_soon_threadsafe(self.on_instruction, attempts[run_id], instruction)

    def on_instruction(self, attempt: Attempt, instruction: str) -> None:
        """Handles an instruction for an attempt in the reply to a heartbeat. Ignores it if the process no longer has
        this attempt."""
        if self._attempts.get(attempt.run.run_id) is attempt:
            _apply_instruction(attempt, instruction)


def _apply_instruction(attempt: Attempt, instruction: str) -> None:
    """Applies what Redis sent about the run of an attempt: `lost`, or a cancel action."""
    if instruction == "lost":
        attempt.mark_fenced()
    else:
        attempt.request_cancel(Action(instruction))


async def reclaim_process(settings: Settings, pid: int) -> list[str]:
    """Reclaims at once all leases of a process of this machine that has exited. Returns the ids of the runs."""
    pipeline = Pipeline(Address(settings.redis), "reaper", patience_s=settings.redis_patience_web_s)
    await pipeline.open()
    try:
        reclaimed = await RunScripts(pipeline, Keys(settings.key_prefix)).run_reap(
            event_ttl_s=settings.event_ttl_s,
            pause_ms=RETRY_PAUSE_MS,
            worker=f"{platform.node()}:{pid}:",
        )
    finally:
        await pipeline.close()
    return [run.run_id for run in reclaimed]
