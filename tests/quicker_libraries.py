"""Fixtures that replace slow parts of libraries, and the logs, in the process of the tests. What tests start is not
affected."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from typing import Any

import certifi
import pytest
import structlog
import uvicorn.server

from slipway.logs.strict import logger_class
from slipway.processes import settings_and_logs
from tests.certificates import self_signed


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """A traceback of structlog with all locals takes a second, which blocks the event loop of a test."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer], wrapper_class=logger_class())


@pytest.fixture(scope="session", autouse=True)
def logs_of_the_tests() -> Iterator[None]:
    """Commands that a test executes in this process leave its logs as they are: other tests read them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings_and_logs, "configure", lambda settings, process: None)
        yield


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
