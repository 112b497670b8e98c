"""A process exits in time although the project's code left tasks and threads that do not end."""

from __future__ import annotations

import asyncio
import sys

import pytest

from slipway.processes import exit_codes
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
