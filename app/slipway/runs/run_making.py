"""From what a client asks to a `NewRun`, with the assistant, the ceilings and the graph as they are now: what the
protocol shows as Run.kwargs is put together here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.assistants.record import Assistant
from slipway.ceilings import Limits, ceilings_of, checked
from slipway.errors import InvalidRequest
from slipway.graphs.spec import GraphSpec, Priority
from slipway.run_options import RunOptions
from slipway.runs.record import PRIORITY_MS, NewRun
from slipway.runs.run_requests import RunRequest
from slipway.runs.scripts import CronStep
from slipway.services import Services
from slipway.settings import Settings


async def run_of(
    services: Services,
    asked: RunRequest,
    *,
    run_id: str,
    thread_id: str,
    configurable: dict[str, Any] | None = None,
    cron: CronStep | None = None,
) -> NewRun:
    """The run that is asked for, with what the server adds to its `configurable`, and the due time that it is for.
    Raises for an unknown assistant and for what makes no sense."""
    assistant = await services.assistants.get(asked.assistant_id)
    spec = services.graphs.spec(assistant.graph_id)
    options = _options(asked, assistant, configurable or {})
    return NewRun(
        run_id=run_id,
        thread_id=thread_id,
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        options=options,
        assistant_metadata=assistant.metadata,
        metadata=options.config["metadata"] | asked.metadata,
        thread_config=_thread_config(asked, assistant),
        ceilings=ceilings_of(services.settings, spec.ceilings, _ceilings_asked(asked, assistant)),
        multitask_strategy=asked.multitask_strategy,
        create_thread=asked.create_thread,
        own_thread=asked.stateless,
        temporary=asked.temporary,
        after_s=asked.after_s,
        inline=spec.execution == "inline",
        priority=_priority(asked, assistant, spec),
        groups=groups_of(services.settings, spec, asked.metadata),
        cron=cron,
        user=asked.user,
        changed_by=asked.changed_by,
    )


def _options(asked: RunRequest, assistant: Assistant, configurable: dict[str, Any]) -> RunOptions:
    """The request over the assistant. `context` and `config.configurable` mirror each other; what the server adds
    (`configurable`) is part of the context unless the request says what its context is."""
    given = asked.context or asked.config["configurable"]
    metadata = assistant.config.get("metadata", {}) | asked.config["metadata"]
    configured = assistant.config.get("configurable", {}) | given | asked.headers | configurable
    context = (assistant.context or assistant.config.get("configurable", {})) | given
    return RunOptions(
        input=asked.input,
        command=asked.command,
        config=assistant.config | asked.config | {"metadata": metadata, "configurable": configured},
        context=context if asked.context else context | configurable,
        stream_mode=asked.stream_mode,
        interrupt_before=asked.interrupt_before,
        interrupt_after=asked.interrupt_after,
        webhook=asked.webhook,
        feedback_keys=asked.feedback_keys,
        temporary=asked.temporary,
        subgraphs=asked.subgraphs,
        resumable=asked.resumable,
        checkpoint_during=asked.durability != "exit",
        durability=asked.durability,
        checkpoint=asked.checkpoint,
        strict_resume=asked.strict_resume,
    )


def _thread_config(asked: RunRequest, assistant: Assistant) -> dict[str, Any]:
    """What the run leaves in its thread's config: the request's over the assistant's. What the request makes
    configurable does not stay; what the assistant does stays."""
    given = {name: value for name, value in asked.config.items() if value and name != "configurable"}
    metadata = {**assistant.config.get("metadata", {}), **given.get("metadata", {})}
    return assistant.config | given | ({"metadata": metadata} if metadata else {})


def _ceilings_asked(asked: RunRequest, assistant: Assistant) -> dict[str, Any]:
    """A client lowers ceilings by `ceilings` in `config.configurable` or in the `context` that stands for it, once for
    an assistant and again for a run."""
    lowered = dict(ceilings_in(assistant.config))
    given = {"configurable": asked.context} if asked.context else asked.config
    for name, limit in ceilings_in(given).items():
        lowered[name] = min(limit, lowered.get(name, limit))
    return lowered


def ceilings_in(config: Mapping[str, Any]) -> Limits:
    """The ceilings that a config asks for; `InvalidRequest` when they are none."""
    asked = config.get("configurable", {}).get("ceilings") or {}
    if not isinstance(asked, dict):
        raise InvalidRequest("config.configurable.ceilings", "must be an object")
    return checked(asked)


def _priority(asked: RunRequest, assistant: Assistant, spec: GraphSpec) -> Priority:
    own = priority_in(assistant.config.get("configurable", {}), spec.priority)
    return priority_in(asked.config["configurable"], own)


def priority_in(configurable: Mapping[str, Any], own: Priority = "normal") -> Priority:
    """The priority that is asked for; `InvalidRequest` when it is none. `own` counts where nothing is said."""
    wanted = configurable.get("priority", own)
    if not isinstance(wanted, str) or wanted not in PRIORITY_MS:
        raise InvalidRequest("config.configurable.priority", f"must be one of {', '.join(PRIORITY_MS)}")
    return wanted


def check_webhook(services: Services, url: str | None) -> None:
    """Raises `InvalidRequest` for a webhook that no run may have here, whoever asks for the run."""
    if url is None:
        return
    if services.config.http.disable_webhooks:
        raise InvalidRequest("webhook", "webhooks are disabled here (http.disable_webhooks)")
    services.webhook_urls.check(url)


def groups_of(settings: Settings, spec: GraphSpec, metadata: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The limits of running runs that this one falls under."""
    groups = []
    if spec.max_running_runs is not None:
        groups.append((f"graph:{spec.graph_id}", spec.max_running_runs))
    if settings.max_runs_per_owner is not None and isinstance(owner := metadata.get("owner"), str):
        groups.append((f"owner:{owner}", settings.max_runs_per_owner))
    return groups
