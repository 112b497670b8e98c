"""What an authorize handler changed in a new run. Everything that was computed from a changed member is computed
again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from slipway.access.handler_values.runs import RunsCreate
from slipway.ceilings import ceilings_of
from slipway.errors import InvalidRequest
from slipway.graphs.spec import GraphSpec
from slipway.runs.record import RunSpec
from slipway.runs.run_request import parse_ceilings, parse_priority
from slipway.settings import Settings

_THREAD_CONFIG: Final = ("tags", "recursion_limit", "max_concurrency", "run_name", "metadata")
"""Members of a run's config that it adds to the config of its thread."""


def changed_by_handler(
    spec: RunSpec,
    before: RunsCreate,
    after: RunsCreate,
    graph: GraphSpec,
    settings: Settings,
    check_webhook: Callable[[str | None], None],
) -> RunSpec:
    """The run with the handler value `after`; the handler received `before`. Raises `AuthBroken` for values that no
    client could send."""
    options, sent, changed = after.kwargs, before.kwargs, after.kwargs.configurable
    limits, priority = spec.execution.ceilings, spec.behaviour.priority
    try:
        if options.webhook != sent.webhook:
            check_webhook(options.webhook)
        if changed.get("ceilings") != sent.configurable.get("ceilings"):
            limits = ceilings_of(settings, graph.ceilings, parse_ceilings(options.config))
        if changed.get("priority") != sent.configurable.get("priority"):
            priority = parse_priority(changed, graph.priority)
    except InvalidRequest as error:
        raise before.handler_error(f"left a run that is refused: {error}") from error
    return RunSpec(
        replace(spec.identity, metadata=after.metadata),
        replace(spec.execution, options=options, ceilings=limits),
        replace(
            spec.behaviour,
            multitask_strategy=after.multitask_strategy,
            create_thread=after.if_not_exists == "create",
            after_s=after.after_seconds,
            priority=priority,
            thread_config=_thread_config(spec.behaviour.thread_config, sent.config, options.config),
        ),
    )


def _thread_config(current: Mapping[str, Any], sent: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: config[name] for name in _THREAD_CONFIG if name in config and config[name] != sent.get(name)}
    removed = {name for name in _THREAD_CONFIG if name in sent and name not in config}
    return {name: value for name, value in current.items() if name not in removed} | changed
