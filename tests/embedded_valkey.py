"""A Valkey that tests start."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from slipway.processes.valkey_program import valkey_program

START_WITHIN_S: Final = 10.0


@contextlib.contextmanager
def embedded_valkey(*options: str) -> Iterator[str]:
    """A Valkey on a unix socket, which stops at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-"))
    path = folder / "valkey.sock"
    server = subprocess.Popen(
        [
            *(str(valkey_program()), "--port", "0", "--unixsocket", str(path), "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", *options),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for_socket(path, server)
        yield f"unix://{path}"
    finally:
        server.terminate()
        server.wait(START_WITHIN_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_socket(path: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.01)
    raise RuntimeError(f"the embedded Valkey did not start (exit code {server.poll()})")
