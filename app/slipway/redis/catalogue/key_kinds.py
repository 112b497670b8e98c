"""All kinds of keys, and the templates of their names."""

from __future__ import annotations

from typing import Final

from slipway.redis.catalogue import (
    api_keys,
    assistants,
    browser_access,
    budgets,
    checkpoints,
    clients,
    crons,
    encryption,
    graph_versions,
    hooks,
    metrics,
    processes,
    queue,
    reviews,
    rollouts,
    runs,
    shared_records,
    store,
    switches,
    threads,
    traces,
    webhook_endpoints,
    webhooks,
)
from slipway.redis.catalogue.declarations import KeyKind, Shard

KINDS_BY_SECTION: Final[dict[str, tuple[KeyKind, ...]]] = {
    "Runs": runs.KEY_KINDS,
    "Traces": traces.KEY_KINDS,
    "Metrics": metrics.KEY_KINDS,
    "Threads": threads.KEY_KINDS,
    "Reviews": reviews.KEY_KINDS,
    "The queue": queue.KEY_KINDS,
    "Graph versions": graph_versions.KEY_KINDS,
    "Switches": switches.KEY_KINDS,
    "Rollouts": rollouts.KEY_KINDS,
    "Shared records": shared_records.KEY_KINDS,
    "Budgets": budgets.KEY_KINDS,
    "Webhooks": webhooks.KEY_KINDS,
    "Webhook endpoints": webhook_endpoints.KEY_KINDS,
    "Hooks": hooks.KEY_KINDS,
    "Checkpoints": checkpoints.KEY_KINDS,
    "Assistants": assistants.KEY_KINDS,
    "Crons": crons.KEY_KINDS,
    "The store": store.KEY_KINDS,
    "Sessions and tickets": browser_access.KEY_KINDS,
    "Clients": clients.KEY_KINDS,
    "API keys": api_keys.KEY_KINDS,
    "Processes": processes.KEY_KINDS,
    "Encryption at rest": encryption.KEY_KINDS,
}
"""The key kinds by section of docs/keys.md."""

KEY_KINDS: Final[dict[str, KeyKind]] = {kind.name: kind for section in KINDS_BY_SECTION.values() for kind in section}

TEMPLATES: Final[dict[str, str]] = {kind.name: kind.template for kind in KEY_KINDS.values() if kind.is_ours}
"""By name of the kind: what follows the key prefix. The scripts get the same templates."""

SHARDS: Final[dict[str, Shard | None]] = {kind.name: kind.shard for kind in KEY_KINDS.values()}
"""By name of the kind: the shard of its keys."""
