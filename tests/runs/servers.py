"""Valkey servers of a test's own, which it may kill, fill and demote."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from slipway.processes.valkey_program import valkey_program
from slipway.redis.pipeline import Pipeline
from tests.waiting import wait_until


class Server:
    """One Valkey on a unix socket, with an append-only file that is written at once."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-server-"))
        self.socket = self.folder / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, again with what it had."""
        self._process = subprocess.Popen(
            [
                *(str(valkey_program()), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "always", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        await wait_until(self._answers)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def suspend(self) -> None:
        """SIGSTOP. Returns when the server has stopped, which is a moment after the signal was sent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it and remove what it kept."""
        await self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self.socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith((b"+PONG", b"-MASTERDOWN", b"-NOAUTH"))
        return False


async def is_rejecting(pipeline: Pipeline, code: str) -> bool:
    """Whether the server has rejected a command at least twice with this error code. So the client has sent it again
    after the first rejection."""
    statistics: bytes = await pipeline.send("INFO", "errorstats", repeatable=True)
    count = re.search(rf"errorstat_{code}:count=(\d+)", statistics.decode())
    return count is not None and int(count[1]) > 1


async def is_only_client(pipeline: Pipeline) -> bool:
    """Whether the server has closed the connections of all other pipelines of tests."""
    clients: bytes = await pipeline.send("CLIENT", "LIST", "TYPE", "normal", repeatable=True)
    return clients.count(b" name=test ") == 1


@asynccontextmanager
async def server(*options: str) -> AsyncIterator[Server]:
    """A server until the block is left."""
    running = Server(*options)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()
