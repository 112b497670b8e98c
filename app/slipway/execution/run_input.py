"""Builds what LangGraph is called with: the input, the config and the context of a run.

Input that an earlier attempt has already stored in a checkpoint must not be passed to the graph again. So `plan_start`
reads the newest checkpoint of the thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Command, Send

from slipway.access.users import User, user_configurable
from slipway.checkpoints.interrupt_answers import is_answer_map, is_command_stored, unconsumed_answers
from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.graphs.goto_targets import missing_targets
from slipway.graphs.recursion_limit import default_recursion_limit
from slipway.runs.record import Run

_UNCHANGED_MEMBERS: Final = ("tags", "max_concurrency", "run_name")
"""Members of the request's config that are passed to LangGraph unchanged."""


@dataclass(frozen=True, slots=True)
class StartPlan:
    """How to start an attempt."""

    input: Any
    checkpoint: dict[str, Any]
    """The checkpoint that the request named, as members of `configurable`. Empty if it named none."""
    resumes_attempt: bool
    """Whether an earlier attempt at the run has stored a checkpoint. Then this attempt continues from it."""
    only_input_stored: bool = False
    """Whether that checkpoint contains only the input of the run."""

    @property
    def has_input(self) -> bool:
        """Whether the graph starts from an input, so that LangGraph drops what was under way."""
        return self.input is not None and not isinstance(self.input, Command)

    @property
    def replays(self) -> bool:
        """Whether LangGraph executes the tasks of the named checkpoint again, as it does unless they get answers. Then
        a subgraph with a state of its own begins with the state that it had at this checkpoint."""
        return not (isinstance(self.input, Command) and self.input.resume is not None)

    def missing_targets(self, nodes: Collection[str]) -> list[str]:
        """The nodes to which the command goes and which are not among the `nodes` of the graph."""
        return missing_targets(self.input.goto, nodes) if isinstance(self.input, Command) else []


NO_PLAN: Final = StartPlan(None, {}, False)


def plan_start(run: Run, newest: CheckpointTuple | None) -> StartPlan:
    """Starts from the input or the command of the run, or continues an earlier attempt. `newest` is the newest
    checkpoint of the thread. An empty command counts as none, because LangGraph rejects it."""
    checkpoint = {k: v for k, v in (run.options.checkpoint or {}).items() if v is not None and k != "thread_id"}
    if newest is not None and newest.metadata.get("run_id") == run.run_id:
        return StartPlan(None, {}, True, _source_of(newest) == "input")
    command = run.options.command
    if not command or (command.get("resume") is None and not command.get("update") and not command.get("goto")):
        return StartPlan(run.options.input, checkpoint, False)
    if (
        newest is not None
        and run.attempt > 1
        and (remaining := remaining_command(run.run_id, command, newest)) is not command
    ):
        return StartPlan(remaining and command_of(remaining), checkpoint, False)
    return StartPlan(command_of(command), checkpoint, False)


def _source_of(newest: CheckpointTuple) -> object:
    """What has made the checkpoint; for one that a migration has rewritten, what had made its original."""
    metadata: Mapping[str, Any] = newest.metadata
    return (metadata.get(OF_MOVE) or metadata).get("source")


def remaining_command(run_id: str, command: Mapping[str, Any], newest: CheckpointTuple) -> Mapping[str, Any] | None:
    """The part of a command that must be passed again, when the attempt starts from the same checkpoint as the one
    before. LangGraph has stored the command with that checkpoint, except answers that name their interrupts: such an
    answer is passed until its task has used it. None if nothing remains."""
    writes, resume = newest.pending_writes or (), command.get("resume")
    stored = is_command_stored(writes, run_id)
    if not is_answer_map(resume):
        return None if stored else command
    remaining = unconsumed_answers(resume, writes)
    if not stored and len(remaining) == len(resume):
        return command
    return {"resume": remaining} if remaining else None


def command_of(command: Mapping[str, Any]) -> Command[Any]:
    """Converts a command of the protocol to LangGraph's `Command`."""
    goto = command.get("goto")
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    update = command.get("update")
    return Command(
        resume=command.get("resume"),
        update=[tuple(pair) for pair in update] if isinstance(update, list) else update,
        goto=[Send(target["node"], target.get("input")) if isinstance(target, dict) else target for target in targets],
    )


def config_of(run: Run, checkpoint: Mapping[str, Any], steps_left: int) -> RunnableConfig:
    """The config that nodes receive, except the parts that depend on the graph (`bound_config`)."""
    requested = run.options.config or {}
    user = user_configurable(None if run.user is None else User(run.user))
    configurable = {**(requested.get("configurable") or {}), **user, **run.ids, **checkpoint}
    configurable.pop("ceilings", None)
    if run.options.strict_resume:
        configurable["__pregel_strict_resume"] = True
    config: dict[str, Any] = {
        "configurable": configurable,
        "metadata": {**run.metadata, **run.ids, "run_attempt": run.attempt},
        "recursion_limit": _recursion_limit(run, {}, steps_left),
        "run_id": UUID(run.run_id),
    }
    config |= {name: requested[name] for name in _UNCHANGED_MEMBERS if requested.get(name)}
    return cast(RunnableConfig, config)


def bound_config(run: Run, graph_config: RunnableConfig, name: str, steps_left: int) -> RunnableConfig:
    """The members that depend on the graph: recursion limit and run name. `graph_config` is the config that
    `with_config` gave the graph, and `name` the name of the graph. LangGraph merges the other members itself."""
    requested = run.options.config or {}
    return {
        "recursion_limit": _recursion_limit(run, graph_config, steps_left),
        "run_name": requested.get("run_name") or graph_config.get("run_name") or name,
    }


def _recursion_limit(run: Run, graph_config: RunnableConfig, steps_left: int) -> int:
    """The limit of the request, else of the assistant, else of the graph, else the default. It is at most the ceiling
    plus 1, because LangGraph needs one superstep more than it executes, to detect that no task is left. `CeilingGuard`
    enforces the ceiling."""
    requested = (run.options.config or {}).get("recursion_limit")
    limit = requested or graph_config.get("recursion_limit") or default_recursion_limit()
    return int(min(limit, max(1, steps_left + 1)))


def context_of(run: Run) -> dict[str, Any]:
    """The context of the run, without `ceilings`, which only Slipway reads."""
    return {name: value for name, value in (run.options.context or {}).items() if name != "ceilings"}
