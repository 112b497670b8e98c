"""A run as an authorize handler left it: everything that follows from what the handler wrote is worked out anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from slipway.access.handler_values.runs import RunsCreate
from slipway.ceilings import ceilings_of
from slipway.errors import InvalidRequest
from slipway.runs.record import NewRun
from slipway.runs.run_making import ceilings_in, check_webhook, groups_of, priority_in
from slipway.services import Services

_STAYS: Final = ("tags", "recursion_limit", "max_concurrency", "run_name", "metadata")
"""What a run leaves of its config in the thread's."""


def left_run(services: Services, new: NewRun, before: RunsCreate, left: RunsCreate) -> NewRun:
    """`new` as a handler left it, which was shown `before`. Raises `AuthBroken` for what no client could ask for."""
    options, spec = left.kwargs, services.graphs.spec(new.graph_id)
    changed = replace(
        new,
        metadata=left.metadata,
        options=options,
        multitask_strategy=left.multitask_strategy,
        create_thread=left.if_not_exists == "create",
        after_s=left.after_seconds,
        groups=groups_of(services.settings, spec, left.metadata),
    )
    config, shown = options.config, before.kwargs.config
    try:
        if options.webhook != before.kwargs.webhook:
            check_webhook(services, options.webhook)
        if _configurable(config, "ceilings") != _configurable(shown, "ceilings"):
            changed = replace(changed, ceilings=ceilings_of(services.settings, spec.ceilings, ceilings_in(config)))
        if _configurable(config, "priority") != _configurable(shown, "priority"):
            changed = replace(changed, priority=priority_in(config.get("configurable") or {}, spec.priority))
    except InvalidRequest as error:
        raise before.handler_error(f"left a run that is refused: {error}") from error
    stays = {name: config[name] for name in _STAYS if name in config and config[name] != shown.get(name)}
    gone = {name for name in _STAYS if name in shown and name not in config}
    kept = {name: value for name, value in new.thread_config.items() if name not in gone}
    return replace(changed, thread_config=kept | stays)


def _configurable(config: Mapping[str, Any], name: str) -> Any:
    return (config.get("configurable") or {}).get(name)
