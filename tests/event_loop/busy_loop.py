"""A process whose event loop is always busy with short callbacks, and watched. For each line that it can read, it says
that it blocks, and blocks for `argv[2]` seconds. `argv[1]` is the limit in seconds."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import uvloop

from slipway.health.event_loop_watch import EventLoopWatch
from slipway.logs.configuration import configure
from slipway.settings import Settings


async def main(limit_s: float, block_s: float) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def keep_busy() -> None:
        if not ended.is_set():
            loop.call_soon(keep_busy)

    def block() -> None:
        if sys.stdin.readline():
            print("blocking", flush=True)
            time.sleep(block_s)  # the block
        else:
            loop.remove_reader(sys.stdin)
            ended.set()

    with EventLoopWatch(limit_s, Path.cwd()).watching():
        loop.add_reader(sys.stdin, block)
        keep_busy()
        await ended.wait()
        await asyncio.sleep(limit_s)  # the watch reports the end of the block within half of it


if __name__ == "__main__":
    configure(Settings(log_format="json"), "test")
    uvloop.run(main(*map(float, sys.argv[1:])))
