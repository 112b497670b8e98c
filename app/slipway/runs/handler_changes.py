"""Applies the changes of an authorize handler to a new run. Everything that was computed from a changed member is
computed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from slipway.access.handler_values.runs import RunsCreate
from slipway.accounting.limits import Limits, ceilings_of
from slipway.errors import InvalidRequest
from slipway.graphs.spec import GraphSpec, Priority
from slipway.run_options import RunOptions
from slipway.runs.record import RunSpec
from slipway.runs.slipway_options import CONFIGURABLE, CONTEXT, parse_slipway_options
from slipway.settings import Settings

_THREAD_CONFIG: Final = ("tags", "recursion_limit", "max_concurrency", "run_name", "metadata")
"""The members of a run's config that are added to the config of its thread."""


def changed_by_handler(
    spec: RunSpec,
    before: RunsCreate,
    after: RunsCreate,
    graph: GraphSpec,
    settings: Settings,
    check_webhook: Callable[[str | None], None],
) -> RunSpec:
    """The run with the changes of a handler, which received `before` and left `after`. Raises `AuthBroken` for values
    that a client could not send either."""
    options, sent = after.kwargs, before.kwargs
    try:
        if options.webhook != sent.webhook:
            check_webhook(options.webhook)
        limits, priority = _limits_and_priority(spec, sent, options, graph, settings)
    except InvalidRequest as error:
        raise before.handler_error(f"changed the run to an invalid one: {error}") from error
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


def _limits_and_priority(
    spec: RunSpec, sent: RunOptions, options: RunOptions, graph: GraphSpec, settings: Settings
) -> tuple[Limits, Priority]:
    """Ceilings and priority, from the mirror in which the handler changed them. Raises `InvalidRequest`."""
    limits, priority = spec.execution.ceilings, spec.behaviour.priority
    if (path := _changed_mirror("ceilings", sent, options)) is not None:
        limits = ceilings_of(settings, graph.ceilings, parse_slipway_options(_mirror(options, path), path).ceilings)
    if (path := _changed_mirror("priority", sent, options)) is not None:
        priority = parse_slipway_options(_mirror(options, path), path).priority or graph.priority
    return limits, priority


def _changed_mirror(name: str, sent: RunOptions, options: RunOptions) -> str | None:
    """Where the handler changed this member: in `config.configurable`, or in the context that mirrors it. A member that
    is missing in the context alone is not a change. Raises `InvalidRequest` for two different values."""
    context, configurable = options.context.get(name), options.configurable.get(name)
    in_context = name in options.context and context != sent.context.get(name)
    if configurable == sent.configurable.get(name):
        return CONTEXT if in_context else None
    if in_context and context != configurable:
        raise InvalidRequest(f"{CONTEXT}.{name}", f"differs from {CONFIGURABLE}.{name}")
    return CONFIGURABLE


def _mirror(options: RunOptions, path: str) -> Mapping[str, Any]:
    return options.context if path == CONTEXT else options.configurable
