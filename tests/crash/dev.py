"""A `slipway dev` of our own, to be hurt."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Self

import psutil

from slipway.processes.child_commands import slipway
from tests.conftest import bare_environment, free_port, wait_until
from tests.crash.cluster import CONFIG, ROOT, START_WITHIN_S
from tests.crash.effects import Effects

MARKS: Final = {
    "web": "slipway web",
    "worker": "slipway worker",
    "fork-server": "slipway fork-server",
    "valkey": "valkey-server",
}
"""What the process list shows for each."""


class Dev:
    """Started on a data directory and a port that stay the same when it is started again."""

    def __init__(self, **options: str) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-crash-dev-"))
        self.effects = Effects(self.folder / "effects")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "log"
        self.seen: set[int] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        await wait_until(lambda: not self.left())
        shutil.rmtree(self.folder, ignore_errors=True)

    async def start(self) -> None:
        """Return once it says that it is ready."""
        self.log.write_text("")
        arguments = ("--config", str(CONFIG), "--port", str(self.port), "--data-dir", str(self.folder / "data"))
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                slipway("dev", *arguments),
                env=bare_environment() | self.options | {"EFFECTS": str(self.effects.path), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        await wait_until(lambda: "ready http" in self.log.read_text(), START_WITHIN_S)
        self.children()

    def children(self) -> dict[str, psutil.Process]:
        """Its processes by what they are."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children():
            self.seen.add(child.pid)
            with contextlib.suppress(psutil.Error):  # it has ended and is not replaced yet
                words = " ".join(child.cmdline())
                found |= {name: child for name, mark in MARKS.items() if mark in words}
        return found

    def left(self) -> list[int]:
        """Processes that it started and that are still there."""
        return [pid for pid in self.seen if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
