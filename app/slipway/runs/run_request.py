"""A request for a run as plain data, and how it becomes a `RunSpec`.

A cron stores a request. At each due time, a run is created from the stored request, with the assistant, the graph and
the settings of that time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from slipway.accounting.limits import ceilings_of
from slipway.assistants.record import Assistant
from slipway.graphs.spec import GraphSpec
from slipway.protocol_types import MultitaskStrategy
from slipway.redis.shard_ids import run_id_on
from slipway.run_options import RunOptions
from slipway.runs.record import RunBehaviour, RunExecution, RunIdentity, RunSpec
from slipway.runs.scripts import DueTime
from slipway.runs.slipway_options import slipway_options_of
from slipway.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The validated request of a client. All values are JSON."""

    assistant_id: str
    """An id, or the name of a graph."""
    options: RunOptions
    """The options that the client sent, without the assistant's. `config` always has `configurable` and `metadata`."""
    chooses_durability: bool = False
    """Whether the durability in `options` was chosen by the client; otherwise that of the graph applies, if it has
    one."""
    metadata: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Request headers that nodes find in `configurable`."""
    version_headers: dict[str, str] = field(default_factory=dict)
    """Request headers by which the version of the graph is chosen (`rollouts/watch.py`)."""
    stateless: bool = False
    """The thread of the run is created with it."""
    create_thread: bool = False
    """The thread is created if it does not exist."""
    multitask_strategy: MultitaskStrategy = "enqueue"
    after_s: int = 0
    user: dict[str, Any] | None = None
    """See `Run.user`. The runs of a cron execute for the user who created the cron."""
    changed_by: list[dict[str, Any]] = field(default_factory=list)
    """See `Run.changed_by`."""

    def stored(self) -> dict[str, Any]:
        """What a cron's record stores. An empty `version_headers` and a durability that was not chosen are left out:
        processes of earlier releases, which may still run during a deploy, do not know these members."""
        members = asdict(self)
        for name in ("version_headers", "chooses_durability"):
            if not members[name]:
                del members[name]
        return members


def run_request_from(stored: Mapping[str, Any]) -> RunRequest:
    """The request that a cron's record stores."""
    return RunRequest(**{**stored, "options": RunOptions(**stored["options"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIds:
    """What Slipway chooses for a new run: its ids and, for the run of a cron, the due time."""

    run_id: str
    thread_id: str
    due_time: DueTime | None = None

    @classmethod
    def new(cls, seed: str, thread_id: str | None = None, due_time: DueTime | None = None) -> RunIds:
        """The ids of a run on this thread; without it, on a thread that is created for the run. The same `seed`, a
        UUID, gives the same ids."""
        thread_id = thread_id or seed
        return cls(run_id=run_id_on(thread_id, seed), thread_id=thread_id, due_time=due_time)

    @property
    def configurable(self) -> dict[str, Any]:
        """The members that are added to the `configurable` of the request."""
        return {} if self.due_time is None else {"cron_id": self.due_time["cron_id"]}


def spec_from(request: RunRequest, ids: RunIds, assistant: Assistant, graph: GraphSpec, settings: Settings) -> RunSpec:
    """The run without its concurrency groups. Raises `InvalidRequest` for invalid ceilings and an invalid priority."""
    options = _with_durability(merged_options(request, assistant, ids.configurable), request, graph)
    of_assistant = slipway_options_of(assistant.context, assistant.config.get("configurable", {}))
    requested = slipway_options_of(request.options.context, request.options.configurable).over(of_assistant)
    limits = ceilings_of(settings, graph.ceilings, requested.ceilings)
    return RunSpec(
        RunIdentity(
            run_id=ids.run_id,
            thread_id=ids.thread_id,
            assistant_id=assistant.assistant_id,
            graph_id=assistant.graph_id,
            metadata=options.config["metadata"] | request.metadata,
            assistant_metadata=assistant.metadata,
            user=request.user,
            changed_by=request.changed_by,
            due_time=ids.due_time,
        ),
        RunExecution(options=options, ceilings=limits, inline=graph.execution == "inline"),
        RunBehaviour(
            multitask_strategy=request.multitask_strategy,
            create_thread=request.create_thread,
            own_thread=request.stateless,
            thread_config=_thread_config(request, assistant),
            after_s=request.after_s,
            priority=requested.priority or graph.priority,
        ),
    )


def merged_options(request: RunRequest, assistant: Assistant, configurable: dict[str, Any]) -> RunOptions:
    """The options of the request, over those of the assistant. `context` and `config.configurable` mirror each other.
    The members that Slipway adds (`configurable`) are added to the context as well, unless the request has a
    context."""
    requested, sent = request.options, request.options.context or request.options.configurable
    metadata = assistant.config.get("metadata", {}) | requested.config["metadata"]
    configured = assistant.config.get("configurable", {}) | sent | request.headers | configurable
    context = (assistant.context or assistant.config.get("configurable", {})) | sent
    return replace(
        requested,
        config=assistant.config | requested.config | {"metadata": metadata, "configurable": configured},
        context=context if requested.context else context | configurable,
    )


def _with_durability(options: RunOptions, request: RunRequest, graph: GraphSpec) -> RunOptions:
    """The options with the durability of the graph, if the request names none. Crons that an earlier release has stored
    do not say whether theirs was chosen: it was if it is not the default."""
    if request.chooses_durability or graph.durability is None or options.durability != "async":
        return options
    return replace(options, durability=graph.durability, checkpoint_during=graph.durability != "exit")


def _thread_config(request: RunRequest, assistant: Assistant) -> dict[str, Any]:
    """What the run adds to the config of its thread: the request's config over the assistant's. The assistant's
    `configurable` is added, the request's is not."""
    sent = {name: value for name, value in request.options.config.items() if value and name != "configurable"}
    metadata = {**assistant.config.get("metadata", {}), **sent.get("metadata", {})}
    return assistant.config | sent | ({"metadata": metadata} if metadata else {})


def concurrency_groups_of(metadata: Mapping[str, Any], graph: GraphSpec, settings: Settings) -> list[tuple[str, int]]:
    """The name (`graph:<graph id>`, `owner:<owner>`) and the limit of each concurrency group of a run with this
    metadata. Empty if neither the graph nor the deployment sets a limit."""
    groups = []
    if graph.max_running_runs is not None:
        groups.append((f"graph:{graph.graph_id}", graph.max_running_runs))
    if settings.max_runs_per_owner is not None and isinstance(owner := metadata.get("owner"), str):
        groups.append((f"owner:{owner}", settings.max_runs_per_owner))
    return groups
