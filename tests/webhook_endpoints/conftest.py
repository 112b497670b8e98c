"""Stores of runs and of webhook endpoints on a real Valkey."""

from __future__ import annotations

from typing import Final

from slipway.clock import Clock
from slipway.webhook_endpoints.record import Endpoint
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from tests.runs.conftest import Stores, stores

__all__ = ["stores"]

GRAPHS: Final = ("steps", "other")
URL: Final = "https://hooks.example.com/"


def endpoint_store(stores: Stores) -> EndpointStore:
    """The store of endpoints. Every URL is allowed."""
    return EndpointStore(EndpointScripts(stores.pipeline, stores.shards), Clock(), lambda url: None, GRAPHS)


async def add(stores: Stores, *types: str, **members: object) -> Endpoint:
    """Adds an endpoint that is subscribed to these types."""
    change = EndpointChange(url=URL, types=types, **members)  # type: ignore[arg-type]
    return (await endpoint_store(stores).add(change, by="ann")).endpoint
