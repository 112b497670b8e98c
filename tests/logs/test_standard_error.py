"""A program that does not read the log does not stop the process. It gets whole lines, and how many were lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.processes

BUSY_S = 3
"""How long a line may take on a busy machine."""

START = """
import json, structlog, sys, time
from slipway.logs.configuration import configure
from slipway.settings import Settings
configure(Settings(), "worker")
log = structlog.get_logger("project")
"""

MANY = (
    START
    + """
longest = 0.0
for number in range({lines}):
    began = time.perf_counter()
    log.info("line", number=number, padding="x" * {size})
    longest = max(longest, time.perf_counter() - began)
print(json.dumps(longest), flush=True)
sys.stdin.readline()
log.info("over")
"""
)


def started(code: str, stderr: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0
    )


def longest_call_s(process: subprocess.Popen[bytes]) -> float:
    assert process.stdout is not None
    return float(process.stdout.readline())


@pytest.mark.parametrize("size", [100, 8000])
async def test_lines_wait_for_a_reader_that_stopped(size: int) -> None:
    """4 MB: more than a pipe and what waits in memory."""
    count = 4_000_000 // size
    process = started(MANY.format(lines=count, size=size), subprocess.PIPE)
    assert longest_call_s(process) < BUSY_S  # nobody has read anything, so a write that waits would not return
    assert process.stdin is not None
    process.stdin.write(b"\n")
    _, output = process.communicate(timeout=30)
    lines = [json.loads(line) for line in output.splitlines()]
    numbers = [line["number"] for line in lines if line["event"] == "line"]
    assert numbers == list(range(len(numbers))), "in their order, and the later ones are lost"
    (lost,) = (line for line in lines if line["event"] == "log.lines_lost")
    assert len(numbers) + lost["lines"] + sum(line["event"] == "over" for line in lines) in (count, count + 1)
    assert process.returncode == 0


async def test_lines_wait_for_the_reader_of_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = started(MANY.format(lines=2000, size=300), theirs.fileno())
        theirs.close()
        assert longest_call_s(process) < BUSY_S
        ours.settimeout(10)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        output = b""
        while part := ours.recv(1 << 16):
            output += part
    process.communicate(timeout=10)
    numbers = [json.loads(line).get("number") for line in output.splitlines()]
    assert numbers == [*range(2000), None]


async def test_lines_of_several_processes_are_not_mixed() -> None:
    """Each process writes lines that are longer than what a pipe keeps together, while the reader is slow."""
    reading, writing = os.pipe()
    code = MANY.format(lines=100, size=7000)
    processes = [started(code, writing) for _ in range(3)]
    os.close(writing)
    for process in processes:
        longest_call_s(process)
        assert process.stdin is not None
        process.stdin.write(b"\n")
    with os.fdopen(reading, "rb") as pipe:
        lines = [json.loads(line) for line in pipe]
    assert sum(line["event"] == "line" for line in lines) == 300
    for process in processes:
        process.communicate(timeout=10)


async def test_a_reader_that_has_gone_stops_nothing() -> None:
    process = started(MANY.format(lines=10, size=10), subprocess.PIPE)
    longest_call_s(process)
    assert process.stderr is not None
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    await wait_until(lambda: process.poll() is not None)
    assert process.stdout is not None
    process.stdout.close()
    assert process.returncode == 0


async def test_a_forked_child_writes_its_own_lines_only() -> None:
    code = (
        START
        + """
import os
for number in range(20_000):
    log.info("parent", number=number)
if os.fork() == 0:
    log.info("child")
    os._exit(0)
print(1, flush=True)
sys.stdin.readline()
os.wait()
"""
    )
    process = started(code, subprocess.PIPE)
    longest_call_s(process)
    assert process.stdin is not None
    process.stdin.write(b"\n")
    _, output = process.communicate(timeout=30)
    numbers = [line["number"] for line in map(json.loads, output.splitlines()) if line["event"] == "parent"]
    assert numbers == sorted(set(numbers))
