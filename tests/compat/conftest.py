"""A served application and a worker, for other people's clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.http.conftest import client, sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Client: TypeAlias = Any
"""A `LangGraphClient`; its own types promise lists where it gives objects."""

Eventually = Callable[..., Awaitable[None]]


graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


async def new_thread(sdk: Client) -> str:
    """A thread's id."""
    return str((await sdk.threads.create())["thread_id"])


async def held(sdk: Client, thread: str) -> bool:
    """Whether the run of `hold` has come to where it stays."""
    return bool((await sdk.threads.get_state(thread))["next"] == ["wait"])
