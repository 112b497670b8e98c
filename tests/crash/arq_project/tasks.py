"""Jobs and a cron job that append a line to the file named by `EFFECTS` when they begin and when they are done;
`effects.py` reads the file. The id of a job stands for the run there, and its number of tries for the attempt."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from threading import Thread
from typing import Any

from arq import cron
from langgraph_sdk import get_client


def effect(ctx: dict[Any, Any], task: str, event: str) -> None:
    line = {
        "run": ctx["job_id"],
        "attempt": ctx["job_try"],
        "step": 0,
        "task": task,
        "event": event,
        "pid": os.getpid(),
        "at": time.time(),
    }
    with Path(os.environ["EFFECTS"]).open("ab", buffering=0) as file:
        file.write(json.dumps(line).encode() + b"\n")


async def leave_code_behind(ctx: dict[Any, Any]) -> None:
    """Starts a thread that does not end when the worker has drained."""
    Thread(target=time.sleep, args=(60,), name="left behind").start()


async def ship(ctx: dict[Any, Any], gate: str) -> str:
    """Waits until the file `gate` exists."""
    effect(ctx, "ship", "begin")
    while not Path(gate).exists():  # noqa: ASYNC110 - the test creates it
        await asyncio.sleep(0.02)
    effect(ctx, "ship", "done")
    return str(ctx["job_id"])


async def tick(ctx: dict[Any, Any]) -> str:
    """Executes a run that returns the id of this job."""
    effect(ctx, "tick", "begin")
    client: Any = get_client()
    values = await client.runs.wait(None, "echo", input={"text": ctx["job_id"]})
    effect(ctx, "tick", "done")
    return str(values["text"])


class WorkerSettings:
    functions = (ship,)
    cron_jobs = (cron(tick, second=set(range(60)), keep_result=600),)
    on_startup = leave_code_behind
    max_jobs = 8
    poll_delay = 0.05
