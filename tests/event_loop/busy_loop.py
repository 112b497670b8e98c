"""A process whose event loop is always busy with short callbacks, and watched. It blocks once, for `argv[2]` seconds,
when it can read a line. `argv[1]` is the limit in seconds."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import uvloop

from slipway.health.event_loop_watch import EventLoopWatch
from slipway.logs import configure
from slipway.settings import Settings


async def main(limit_s: float, block_s: float) -> None:
    loop, blocked = asyncio.get_running_loop(), asyncio.Event()

    def keep_busy() -> None:
        if not blocked.is_set():
            loop.call_soon(keep_busy)

    def block() -> None:
        loop.remove_reader(sys.stdin)
        time.sleep(block_s)  # the block
        blocked.set()

    with EventLoopWatch(limit_s, Path.cwd()).watching():
        loop.add_reader(sys.stdin, block)
        print("ready", flush=True)
        keep_busy()
        await blocked.wait()
        await asyncio.sleep(limit_s)  # the watch reports the end of the block within half of it


if __name__ == "__main__":
    configure(Settings(log_format="json"), "test")
    uvloop.run(main(*map(float, sys.argv[1:])))
