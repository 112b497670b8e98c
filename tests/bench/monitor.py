"""Counts the commands that a Redis server receives, by MONITOR; scripts have their names."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from slipway.checkpoints import scripts as checkpoint_scripts
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.runs import queue_scripts, scripts

_LINE: Final = re.compile(rb'^\+[\d.]+ \[\d+ (?P<client>[^\]]*)\] "(?P<command>[^"]*)"(?: "(?P<first>[^"]*)")?')
_WITHIN_S: Final = 5.0


class Commands(Counter[str]):
    """The number of each command that clients sent; a script counts under its name. `inner` has the commands of
    scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.inner: Counter[str] = Counter()


def script_names() -> dict[str, str]:
    """The names of scripts by SHA-1."""
    modules = (scripts, queue_scripts, checkpoint_scripts)
    return {
        script.sha: script.name for module in modules for script in vars(module).values() if isinstance(script, Script)
    }


@asynccontextmanager
async def count_commands(url: str, pipeline: Pipeline) -> AsyncIterator[Commands]:
    """Counts the commands that the server receives inside the block; complete at the end of the block."""
    commands = Commands()
    reader, writer = await _connect(url)
    writer.write(b"MONITOR\r\n")
    await reader.readline()
    marker = uuid.uuid4().hex.encode()
    counting = asyncio.create_task(_count(reader, commands, marker), name="monitor")
    try:
        yield commands
        await pipeline.send("ECHO", marker, repeatable=True)
        async with asyncio.timeout(_WITHIN_S):
            await counting
    finally:
        counting.cancel()
        writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if url.startswith("unix://"):
        return await asyncio.open_unix_connection(url.removeprefix("unix://"), limit=64 * 1024 * 1024)
    host, _, port = url.removeprefix("redis://").partition(":")
    return await asyncio.open_connection(host, int(port or 6379), limit=64 * 1024 * 1024)


async def _count(reader: asyncio.StreamReader, commands: Commands, marker: bytes) -> None:
    names = script_names()
    while line := await reader.readline():
        if marker in line:
            return
        match = _LINE.match(line)
        if match is None:
            continue
        command = match["command"].decode().lower()
        if match["client"] == b"lua":
            commands.inner[command] += 1
        elif command in ("evalsha", "eval"):
            commands[names.get((match["first"] or b"").decode(), command)] += 1
        else:
            commands[command] += 1
