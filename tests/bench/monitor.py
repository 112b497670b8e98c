"""What a Redis server is asked, seen from the server: MONITOR, with scripts by their name."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from slipway.checkpoints import core_checkpointer, fenced_writers
from slipway.checkpoints import core_reader as checkpoint_reader
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.runs import scripts

_LINE: Final = re.compile(rb'^\+[\d.]+ \[\d+ (?P<who>[^\]]*)\] "(?P<word>[^"]*)"(?: "(?P<first>[^"]*)")?')
_WITHIN_S: Final = 5.0


class Commands(Counter[str]):
    """How often clients asked for each command; a script counts under its own name. What scripts did in turn is in
    `inner`."""

    def __init__(self) -> None:
        super().__init__()
        self.inner: Counter[str] = Counter()


def script_names() -> dict[str, str]:
    """The scripts' names by SHA-1."""
    modules = (scripts, fenced_writers, core_checkpointer, checkpoint_reader)
    return {held.sha: held.name for module in modules for held in vars(module).values() if isinstance(held, Script)}


@asynccontextmanager
async def watching(url: str, pipeline: Pipeline) -> AsyncIterator[Commands]:
    """Counts what the server is asked inside the block; complete when the block is left."""
    heard = Commands()
    reader, writer = await _connect(url)
    writer.write(b"MONITOR\r\n")
    await reader.readline()
    marker = uuid.uuid4().hex.encode()
    listening = asyncio.create_task(_listen(reader, heard, marker), name="monitor")
    try:
        yield heard
        await pipeline.send("ECHO", marker, repeatable=True)
        async with asyncio.timeout(_WITHIN_S):
            await listening
    finally:
        listening.cancel()
        writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if url.startswith("unix://"):
        return await asyncio.open_unix_connection(url.removeprefix("unix://"), limit=64 * 1024 * 1024)
    host, _, port = url.removeprefix("redis://").partition(":")
    return await asyncio.open_connection(host, int(port or 6379), limit=64 * 1024 * 1024)


async def _listen(reader: asyncio.StreamReader, heard: Commands, marker: bytes) -> None:
    names = script_names()
    while line := await reader.readline():
        if marker in line:
            return
        found = _LINE.match(line)
        if found is None:
            continue
        word = found["word"].decode().lower()
        if found["who"] == b"lua":
            heard.inner[word] += 1
        elif word in ("evalsha", "eval"):
            heard[names.get((found["first"] or b"").decode(), word)] += 1
        else:
            heard[word] += 1
