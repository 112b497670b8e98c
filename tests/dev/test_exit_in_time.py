"""A process exits in time although the project's code left tasks and threads that do not end, or has not started."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from slipway.processes import exit_codes
from slipway.redis.keys import Keys
from slipway.stop_times import CLOSE_WITHIN_S, EXIT_WITHIN_S, HEALTH_RECORD_WITHIN_S, LAST_HEARTBEAT_WITHIN_S
from tests.environment import PYTHON_PATH, bare_environment

pytestmark = pytest.mark.processes

PROGRAM = """
import asyncio, sys, threading, time
from slipway.errors import ConfigError
from slipway.processes.exit_in_time import exit_after

async def ignores_cancellation():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def work():
    asyncio.create_task(ignores_cancellation(), name="ignores cancellation")
    threading.Thread(target=time.sleep, args=(60,), name="sleeps").start()
    await asyncio.sleep(0)
    OUTCOME

asyncio.run(exit_after(work()))
"""


@pytest.mark.parametrize(
    ("outcome", "code", "shown"),
    [
        ("return", 0, "process.code_left"),
        ("raise ConfigError('a: wrong')", exit_codes.CONFIG, "slipway: a: wrong\n"),
        ("raise RuntimeError('a bug')", 1, "RuntimeError: a bug"),
    ],
    ids=["done", "config", "bug"],
)
async def test_code_that_does_not_end_is_named_and_left(outcome: str, code: int, shown: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.replace("OUTCOME", outcome),
        env=bare_environment() | {"PYTHONPATH": PYTHON_PATH},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    text = output.decode()
    assert process.returncode == code, text
    assert text.count(shown) == 1
    assert "ignores cancellation" in text
    assert "sleeps" in text


HOST_APP = """
import asyncio
from contextlib import asynccontextmanager
from starlette.applications import Starlette

@asynccontextmanager
async def lifespan(app):
    print("the host app starts", flush=True)
    await asyncio.Event().wait()
    yield

app = Starlette(lifespan=lifespan)
"""


async def test_a_web_process_that_still_starts_exits_when_it_is_told_to(
    tmp_path: Path, valkey_url: str, keys: Keys
) -> None:
    (tmp_path / "host.py").write_text(HOST_APP)
    (tmp_path / "langgraph.json").write_text('{"graphs": {"a": "./a.py:graph"}, "http": {"app": "./host.py:app"}}')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway", "web", "--port", "0"),
        cwd=tmp_path,
        env=bare_environment()
        | {"PYTHONPATH": PYTHON_PATH, "SLIPWAY_REDIS_URL": valkey_url, "SLIPWAY_KEY_PREFIX": keys.prefix},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            await process.stdout.readuntil(b"the host app starts\n")
            process.terminate()
            assert await process.wait() == -signal.SIGTERM
    finally:
        if process.returncode is None:
            process.kill()


def test_the_parts_of_the_time_to_close_leave_room_for_a_busy_machine() -> None:
    """They follow each other when Redis is unavailable and code of the project does not end."""
    assert HEALTH_RECORD_WITHIN_S + LAST_HEARTBEAT_WITHIN_S + EXIT_WITHIN_S <= 0.75 * CLOSE_WITHIN_S
