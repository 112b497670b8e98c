"""The arq application: a function that greets, and one that starts runs."""

from __future__ import annotations

import threading
from typing import Any

from langgraph_sdk import get_client

QUEUE = "arq:tests"

release = threading.Event()


async def startup(ctx: dict[Any, Any]) -> None:
    ctx["greeting"] = "hello"


async def greet(ctx: dict[Any, Any], name: str) -> str:
    return f"{ctx['greeting']} {name}"


async def block(ctx: dict[Any, Any]) -> None:
    """Blocks the event loop until it is released, or for a second."""
    release.wait(1)


async def double_by_runs(ctx: dict[Any, Any], number: int) -> dict[str, Any]:
    """Executes a stateless run, waits for a run on a thread, and streams a third run."""
    client: Any = get_client()
    stateless = await client.runs.wait(None, "double", input={"number": number})
    thread = await client.threads.create()
    on_thread = await client.runs.wait(thread["thread_id"], "double", input={"number": number})
    events = [part.event async for part in client.runs.stream(None, "double", input={"number": number})]
    return {"stateless": stateless["number"], "on_thread": on_thread["number"], "events": events}


class WorkerSettings:
    functions = (greet, block, double_by_runs)
    queue_name = QUEUE
    on_startup = startup
    poll_delay = 0.02
