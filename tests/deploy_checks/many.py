"""How long a deploy check of many threads takes: `python -m tests.deploy_checks.many [THREADS]`.

Every thread waits for an answer. Three releases are checked: with the same code, so that only records are read; with
other code, so that the position of each thread is read; and with a migration, which is called for each thread (of a
hundredth of them)."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from tests.deploy_checks.conftest import Deployment, Release, code
from tests.embedded_valkey import embedded_valkey
from tests.shards import shards_of

_AT_ONCE: Final = 500

MIGRATION: Final = """
    from slipway.migrations import migration

    @migration(from_version="1", to_version="2")
    def rename(stored):
        stored.rename_node("review", "human_review")
        return stored
"""


async def copies(deployment: Deployment, release: Release, prefix: str, count: int) -> None:
    """Threads that are copies of one."""
    await deployment.thread(f"{prefix}first", release)
    core, served = CoreCheckpointer(deployment.pipeline, shards_of(deployment.keys)), release.graphs.version("desk")

    async def copy(name: str) -> None:
        await core.acopy_thread(f"{prefix}first", name)
        await deployment.record(name, status="interrupted", version=served.name, schema=served.schema)

    names = [f"{prefix}{number}" for number in range(count - 1)]
    for first in range(0, len(names), _AT_ONCE):
        await asyncio.gather(*map(copy, names[first : first + _AT_ONCE]))


async def measure(title: str, deployment: Deployment, release: Release) -> None:
    began, cpu = time.monotonic(), time.process_time()
    checked = await deployment.check(release, collect=False)
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu
    counts = next(iter(checked.report.lines()))
    print(f"{title}: {counts}; {seconds:.1f} s, {cpu_s:.1f} s of CPU in Python", flush=True)


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, embedded_valkey() as url:
        pipeline = ServerPipeline(Address(url), "test", patience_s=30)
        await pipeline.open()
        try:
            await checks(count, Path(folder), url, pipeline)
        finally:
            await pipeline.close()


async def checks(count: int, folder: Path, url: str, pipeline: Pipeline) -> None:
    many = Deployment(folder, pipeline, Keys("many"), url)
    old = await many.release("old", {"1": code()})
    await many.deploy(old)
    await copies(many, old, "t", count)
    await measure("same code", many, await many.release("same", {"1": code()}))
    await measure("other code", many, await many.release("other", {"1": code(node="human_review")}))
    few = Deployment(folder, pipeline, Keys("few"), url)
    source = await few.release("source", {"1": code()})
    await few.deploy(source)
    await copies(few, source, "t", count // 100)
    codes = {"1": code(), "2": code(node="human_review")}
    await measure("migrations", few, await few.release("new", codes, moves="at-resume", migrations=MIGRATION))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
