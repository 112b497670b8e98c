"""Every phase that Redis was told to store for a run, seen from outside: by MONITOR, which shows what scripts write."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from slipway.redis.hash_fields import Fields, fields_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.record import FINAL

_WORD: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_WITHIN_S: Final = 10.0
Event = tuple[str, str]
"""A run, and the type of an event."""


class PhaseChanges:
    """The events that must have been created: one for each phase, and one for each deletion of a run that had not
    ended."""

    def __init__(self, keys: Keys) -> None:
        self._run = re.compile(re.escape(keys.prefix.encode()) + rb"(?:\{\d+\})?:run:([^:]+)")
        self._phases: dict[bytes, bytes] = {}
        self.expected: Counter[Event] = Counter()
        self._inline: tuple[str, str] | None = None

    def read(self, line: bytes) -> None:
        words = _WORD.findall(line)
        match = self._run.fullmatch(words[1]) if len(words) > 1 else None
        if match is None:
            return
        run = match[1]
        if words[0] == b"HSET" and b"phase" in words[2::2]:
            self._change(run, words[3::2][words[2::2].index(b"phase")])
        elif words[0] == b"DEL" and (phase := self._phases.pop(run, None)) is not None and phase.decode() not in FINAL:
            self._expect(run, b"cancelled")

    def _change(self, run: bytes, phase: bytes) -> None:
        self._phases[run] = phase
        self._expect(run, phase)

    def _expect(self, run: bytes, phase: bytes) -> None:
        self.expected[run.decode(), f"run.{phase.decode()}"] += 1


@asynccontextmanager
async def recorded_phases(url: str, keys: Keys, pipeline: Pipeline) -> AsyncIterator[PhaseChanges]:
    """Records inside the block; complete after it."""
    changes, marker = PhaseChanges(keys), uuid.uuid4().hex.encode()
    host, _, port = url.removeprefix("redis://").partition(":")
    reader, writer = (
        await asyncio.open_unix_connection(url.removeprefix("unix://"), limit=1 << 26)
        if url.startswith("unix://")
        else await asyncio.open_connection(host, int(port or 6379), limit=1 << 26)
    )
    writer.write(b"MONITOR\r\n")
    await reader.readline()

    async def read() -> None:
        while line := await reader.readline():
            if marker in line:
                return
            changes.read(line)

    reading = asyncio.create_task(read())
    try:
        yield changes
        await pipeline.send("ECHO", marker, repeatable=True)
        async with asyncio.timeout(_WITHIN_S):
            await reading
    finally:
        reading.cancel()
        writer.close()


async def deliveries_of(pipeline: Pipeline, keys: Keys, endpoint_id: str | None = None) -> Sequence[Fields]:
    """The records of all deliveries to endpoints, or to one of them, in the order of their creation. Each has its id as
    `name`."""
    names = await pipeline.send("KEYS", f"{keys.prefix}*:delivery:msg_*")
    found = []
    for name in names:
        if name.count(b":") != 2:  # the tries of a delivery
            continue
        fields = fields_of(await pipeline.send("HGETALL", name)) | {"name": name}
        if endpoint_id is None or fields["endpoint_id"].decode() == endpoint_id:
            found.append(fields)
    return sorted(found, key=lambda fields: int(fields["enqueued_us"]))


async def created_events(pipeline: Pipeline, keys: Keys, endpoint_id: str) -> Counter[Event]:
    """The events about phases that have a delivery to this endpoint."""
    events = [
        (fields["run_id"].decode(), fields["type"].decode())
        for fields in await deliveries_of(pipeline, keys, endpoint_id)
    ]
    return Counter(event for event in events if event[1].startswith("run."))
