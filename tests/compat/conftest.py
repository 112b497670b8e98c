"""A served application and a worker for the tests with LangGraph's own clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from tests.http.conftest import client, sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Client: TypeAlias = Any
"""A `LangGraphClient`. `Any`, because its annotations promise lists where it returns objects."""

Eventually = Callable[..., Awaitable[None]]


graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


async def new_thread(sdk: Client) -> str:
    """Creates a thread and returns its id."""
    return str((await sdk.threads.create())["thread_id"])


async def hold_started(sdk: Client, thread: str) -> bool:
    """True if the run of the graph `hold` executes the node that waits."""
    return bool((await sdk.threads.get_state(thread))["next"] == ["wait"])
