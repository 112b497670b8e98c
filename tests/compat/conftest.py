"""A served application and a worker for the tests with LangGraph's own clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.http.conftest import Client, client, new_thread, sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["Client", "client", "new_thread", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Eventually = Callable[..., Awaitable[None]]

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2)


async def hold_started(sdk: Client, thread: str) -> bool:
    """True if the run of the graph `hold` executes the node that waits."""
    return bool((await sdk.threads.get_state(thread))["next"] == ["wait"])
