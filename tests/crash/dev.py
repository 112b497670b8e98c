"""A `slipway dev` of which tests kill single processes."""

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
from tests.crash.cluster import CONFIG, START_WITHIN_S
from tests.crash.effects import Effects
from tests.environment import PYTHON_PATH, bare_environment, free_port
from tests.waiting import wait_until

COMMAND_LINES: Final = {
    "web": "slipway web",
    "worker": "slipway worker",
    "valkey": "valkey-server",
}
"""A part of the command line of each process, by the kind of process."""


class Dev:
    """It has the same data directory and port after each start."""

    def __init__(self, **options: str) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-crash-dev-"))
        self.effects = Effects(self.folder / "effects")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "log"
        self.started_pids: set[int] = set()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            print(self.log.read_text()[-2000:])
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has exited
            self.children()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        await wait_until(lambda: not self.running_pids())
        shutil.rmtree(self.folder, ignore_errors=True)

    async def start(self) -> None:
        """Return when it has printed that it is ready."""
        self.log.write_text("")
        arguments = ("--config", str(CONFIG), "--port", str(self.port), "--data-dir", str(self.folder / "data"))
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                slipway("dev", *arguments),
                env=bare_environment() | self.options | {"EFFECTS": str(self.effects.path), "PYTHONPATH": PYTHON_PATH},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        await wait_until(lambda: "ready http" in self.log.read_text(), START_WITHIN_S)
        self.children()

    def children(self) -> dict[str, psutil.Process]:
        """Its child processes by kind."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children():
            self.started_pids.add(child.pid)
            with contextlib.suppress(psutil.Error):  # the child has exited and is not replaced yet
                command_line = " ".join(child.cmdline())
                found |= {name: child for name, part in COMMAND_LINES.items() if part in command_line}
        return found

    def running_pids(self) -> list[int]:
        """The child processes that `children` returned so far and that still run."""
        return [pid for pid in self.started_pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
