"""From a request to a `NewRun`: what the protocol shows as Run.kwargs is put together here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from starlette.requests import Request

from app.errors import InvalidRequest, RefusedRequest
from app.graphs import GraphSpec, Priority
from app.http.bodies import RunBody
from app.http.inputs import ident_of
from app.policy import Limits, ceilings_of, checked
from app.runs import PRIORITY_MS, NewRun
from app.services import Services
from app.settings import Settings
from app.stored_assistants import Assistant

_TRACE_HEADERS: Final = ("langsmith-trace", "baggage")
"""Always handed to the graph, so that a caller's trace goes on in it."""


async def new_run(
    services: Services, request: Request, thread_id: str, body: RunBody, *, stateless: bool = False, part: int = 0
) -> NewRun:
    """The run that `body` asks for; a `stateless` one makes its thread, and `part` is its place in a batch.
    Raises for an unknown assistant and for what makes no sense."""
    assistant = await services.assistants.get(body.assistant_id)
    spec = services.graphs.spec(assistant.graph_id)
    kwargs = kwargs_of(body, assistant, request.headers, stateless)
    return NewRun(
        run_id=await ident_of(request, part),
        thread_id=thread_id,
        assistant_id=assistant.assistant_id,
        graph_id=assistant.graph_id,
        kwargs=kwargs,
        assistant_metadata=assistant.metadata,
        metadata=kwargs["config"]["metadata"] | body.metadata,
        thread_config=_thread_config(body, assistant),
        ceilings=ceilings_of(services.settings, spec.ceilings, _ceilings_asked(body, assistant)),
        multitask_strategy=body.multitask_strategy,
        create_thread=stateless or body.if_not_exists == "create",
        temporary=stateless and body.on_completion == "delete",
        after_s=body.after_seconds,
        inline=spec.execution == "inline" and body.after_seconds == 0,
        priority=_priority(body, assistant, spec),
        groups=_groups(services.settings, spec, body.metadata),
    )


def kwargs_of(body: RunBody, assistant: Assistant, headers: Mapping[str, str], stateless: bool) -> dict[str, Any]:
    """Run.kwargs: the request over the assistant, context and configurable mirroring each other."""
    if body.context and body.config.configurable:
        raise RefusedRequest("give either context or config.configurable, not both: they mirror each other")
    given = body.context or body.config.configurable
    config = assistant.config | body.config.public()
    configurable = assistant.config.get("configurable", {}) | given
    config["metadata"] = assistant.config.get("metadata", {}) | body.config.metadata
    config["configurable"] = configurable | {name: headers[name] for name in _TRACE_HEADERS if name in headers}
    context = (assistant.context or assistant.config.get("configurable", {})) | given
    durability = body.durable
    return {
        "input": body.input,
        "command": body.command.public() if body.command else None,
        "config": config,
        "context": context or None,
        "stream_mode": body.stream_mode or ["values"],
        "interrupt_before": body.interrupt_before,
        "interrupt_after": body.interrupt_after,
        "webhook": body.webhook,
        "feedback_keys": body.feedback_keys,
        "temporary": stateless,
        "subgraphs": body.stream_subgraphs,
        "resumable": body.stream_resumable,
        "checkpoint_during": durability != "exit",
        "durability": durability,
        "checkpoint": body.start_from,
        "strict_resume": body.strict_resume,
    }


def _thread_config(body: RunBody, assistant: Assistant) -> dict[str, Any]:
    """A run's own configurable does not stick to its thread; the rest of its config does."""
    stays = {name: value for name, value in body.config.public().items() if value and name != "configurable"}
    configurable = assistant.config.get("configurable")
    return stays | ({"configurable": configurable} if configurable else {})


def _ceilings_asked(body: RunBody, assistant: Assistant) -> dict[str, Any]:
    """A client lowers ceilings by `config.configurable.ceilings`, once for an assistant and again for a run."""
    lowered = dict(ceilings_in(assistant.config))
    for name, asked in ceilings_in(body.config.public()).items():
        lowered[name] = min(asked, lowered.get(name, asked))
    return lowered


def ceilings_in(config: Mapping[str, Any]) -> Limits:
    """The ceilings that a config asks for; `InvalidRequest` when they are none."""
    asked = config.get("configurable", {}).get("ceilings") or {}
    if not isinstance(asked, dict):
        raise InvalidRequest("config.configurable.ceilings", "must be an object")
    return checked(asked)


def _priority(body: RunBody, assistant: Assistant, spec: GraphSpec) -> Priority:
    own = assistant.config.get("configurable", {}).get("priority", spec.priority)
    asked = body.config.configurable.get("priority", own)
    if asked not in PRIORITY_MS:
        raise InvalidRequest("config.configurable.priority", f"must be one of {', '.join(PRIORITY_MS)}")
    return cast(Priority, asked)


def _groups(settings: Settings, spec: GraphSpec, metadata: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The limits of running runs that this one falls under."""
    groups = []
    if spec.max_running_runs is not None:
        groups.append((f"graph:{spec.graph_id}", spec.max_running_runs))
    if settings.max_runs_per_owner is not None and isinstance(owner := metadata.get("owner"), str):
        groups.append((f"owner:{owner}", settings.max_runs_per_owner))
    return groups
