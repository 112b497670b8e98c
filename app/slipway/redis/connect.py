"""The pipelines and subscribers of a process, for the Redis at an address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slipway.redis.cluster_pipeline import ClusterPipeline
from slipway.redis.cluster_subscriber import ClusterSubscriber
from slipway.redis.cluster_topology import ClusterTopology
from slipway.redis.connection import CONNECT_TIMEOUT_S, MAX_RECONNECT_PAUSE_S, Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.server_subscriber import ServerSubscriber
from slipway.redis.subscriber import Subscriber


def pipeline_to(
    address: Address,
    name: str,
    *,
    patience_s: float,
    reply_timeout_s: float = 10.0,
    max_reconnect_pause_s: float = MAX_RECONNECT_PAUSE_S,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    on_connected: Callable[[], object] = lambda: None,
    large_commands: bool = False,
    counts_metrics: bool = True,
) -> Pipeline:
    """A pipeline that is not open yet. `patience_s` is the timeout of a command while Redis is unavailable. If Redis
    sends no reply for `reply_timeout_s`, a connection is closed and opened again, with pauses of up to
    `max_reconnect_pause_s`. An attempt to connect fails after `connect_timeout_s`. `on_connected` is called whenever it
    has connected. With `large_commands`, large commands have a connection of their own. Without `counts_metrics`,
    scripts count nothing for metrics."""
    server = partial(
        ServerPipeline,
        patience_s=patience_s,
        reply_timeout_s=reply_timeout_s,
        max_reconnect_pause_s=max_reconnect_pause_s,
        connect_timeout_s=connect_timeout_s,
        counts_metrics=counts_metrics,
    )
    if address.is_cluster:
        return ClusterPipeline(
            ClusterTopology(address),
            name,
            server,
            patience_s=patience_s,
            on_connected=on_connected,
            large_commands=large_commands,
            counts_metrics=counts_metrics,
        )
    large = partial(server, address, f"{name} large") if large_commands else None
    return server(address, name, on_connected=on_connected, large=large)


def subscriber_to(address: Address, name: str, beside: Pipeline | None = None) -> Subscriber:
    """A subscriber that is not open yet. On a cluster, it follows changes that the pipeline `beside` it notices,
    which is closed after it."""
    if address.is_cluster:
        topology = beside.topology if isinstance(beside, ClusterPipeline) else ClusterTopology(address)
        return ClusterSubscriber(topology, name)
    return ServerSubscriber(address, name)
