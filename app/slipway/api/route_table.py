"""The endpoints of the API, and the keys of langgraph.json that disable them. `api/application.py` adds the sockets of
the event protocol and the pages."""

from __future__ import annotations

from typing import Final

from slipway.api.endpoints import Endpoint
from slipway.api.routes import (
    assistants,
    crons,
    event_commands,
    event_stream,
    hooks,
    ops,
    ops_audit,
    ops_breakers,
    ops_budgets,
    ops_deliveries,
    ops_hooks,
    ops_keys,
    ops_rollouts,
    ops_run_operations,
    ops_runs,
    ops_switches,
    ops_tools,
    ops_traces,
    ops_versions,
    ops_webhooks,
    ops_why,
    reviews,
    runs,
    stateless_runs,
    store,
    stream_tickets,
    thread_state,
    thread_stream,
    threads,
)
from slipway.graphs.official_sections import HttpSection

ROUTE_GROUPS: Final[dict[str, tuple[Endpoint, ...]]] = {
    "crons": crons.ENDPOINTS,
    "runs": runs.ENDPOINTS,
    "stateless": stateless_runs.ENDPOINTS,
    "threads": threads.ENDPOINTS,
    "thread_stream": thread_stream.ENDPOINTS,
    "tickets": stream_tickets.ENDPOINTS,
    "events": (*event_commands.ENDPOINTS, *event_stream.ENDPOINTS),
    "state": thread_state.ENDPOINTS,
    "assistants": assistants.ENDPOINTS,
    "store": store.ENDPOINTS,
    "hooks": hooks.ENDPOINTS,
    "ops": (
        *ops_runs.ENDPOINTS,
        *ops_audit.ENDPOINTS,
        *ops_why.ENDPOINTS,
        *ops_traces.ENDPOINTS,
        *ops_budgets.ENDPOINTS,
        *ops_breakers.ENDPOINTS,
        *ops_run_operations.ENDPOINTS,
        *ops_rollouts.ENDPOINTS,
        *ops_switches.ENDPOINTS,
        *ops_hooks.ENDPOINTS,
        *ops_tools.ENDPOINTS,
        *ops_keys.ENDPOINTS,
        *ops_versions.ENDPOINTS,
        *ops_deliveries.ENDPOINTS,
        *ops_webhooks.ENDPOINTS,
        *reviews.ENDPOINTS,
    ),
    "meta": ops.META,
    "health": ops.HEALTH,
}
ENDPOINTS: Final = tuple(endpoint for group in ROUTE_GROUPS.values() for endpoint in group)
"""The router matches in this order: frequent requests first, and `/threads/search` before `/threads/{thread_id}`."""

DISABLED_BY: Final = {
    "disable_runs": ("crons", "runs", "stateless", "ops"),
    "disable_threads": ("threads", "thread_stream", "tickets", "events", "state"),
    "disable_assistants": ("assistants",),
    "disable_store": ("store",),
    "disable_meta": ("meta",),
}
"""The route groups that each key of the section `http` disables."""


def enabled_endpoints(http: HttpSection) -> list[Endpoint]:
    """The endpoints that the section does not disable."""
    disabled = {group for key, groups in DISABLED_BY.items() if getattr(http, key) for group in groups}
    return [endpoint for group, endpoints in ROUTE_GROUPS.items() if group not in disabled for endpoint in endpoints]
