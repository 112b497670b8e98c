"""What a run's stored request means to LangGraph: its input, its config, its context.

A later attempt must not give the graph twice what an earlier one got into a checkpoint, so `plan_start` looks at the
thread's newest checkpoint first when the run was tried before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import Command, Send

from slipway.access.users import User, user_configurable
from slipway.checkpoints.interrupt_answers import NULL_TASK, is_map, left_of
from slipway.graphs.recursion_limit import default_recursion_limit
from slipway.runs.record import Run

_PASSED_ON: Final = ("tags", "max_concurrency", "run_name")
"""What a request's config says and LangGraph takes as it is."""


@dataclass(frozen=True, slots=True)
class StartPlan:
    """How to start this attempt. `continues` says that an earlier attempt of the same run left a checkpoint, and
    `at_input` that it holds no more than the run's input."""

    input: Any
    checkpoint: dict[str, Any]
    resumes_attempt: bool
    only_input_stored: bool = False


NO_PLAN: Final = StartPlan(None, {}, False)


def plan_start(run: Run, newest: CheckpointTuple | None) -> StartPlan:
    """Start afresh, or go on where an earlier attempt of this run came to. A command that says nothing counts as none:
    LangGraph cannot take it."""
    checkpoint = {k: v for k, v in (run.options.checkpoint or {}).items() if v is not None and k != "thread_id"}
    if newest is not None and newest.metadata.get("run_id") == run.run_id:
        return StartPlan(None, {}, True, newest.metadata.get("source") == "input")
    command = run.options.command
    if not command or (command.get("resume") is None and not command.get("update") and not command.get("goto")):
        return StartPlan(run.options.input, checkpoint, False)
    if newest is not None and run.attempt > 1 and (rest := _remaining_command(command, newest)) is not command:
        return StartPlan(rest and command_of(rest), checkpoint, False)
    return StartPlan(command_of(command), checkpoint, False)


def _remaining_command(command: Mapping[str, Any], newest: CheckpointTuple) -> Mapping[str, Any] | None:
    """What is left of a command that an earlier attempt began with, on the checkpoint that it started from. LangGraph
    has stored it there but for answers that name their interrupts: each is given again until a task has taken it."""
    writes, resume = newest.pending_writes or (), command.get("resume")
    stored = any(task_id == NULL_TASK for task_id, _, _ in writes)
    if not is_map(resume):
        return None if stored else command
    left = left_of(resume, writes)
    if not stored and len(left) == len(resume):
        return command
    return {"resume": left} if left else None


def command_of(command: Mapping[str, Any]) -> Command[Any]:
    """LangGraph's command of the protocol's."""
    goto = command.get("goto")
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    update = command.get("update")
    return Command(
        resume=command.get("resume"),
        update=[tuple(pair) for pair in update] if isinstance(update, list) else update,
        goto=[Send(target["node"], target.get("input")) if isinstance(target, dict) else target for target in targets],
    )


def config_of(run: Run, checkpoint: Mapping[str, Any], steps_left: int) -> RunnableConfig:
    """The config that nodes see (protocol 4.6), but for what the graph itself is bound to: see
    `bound_config`."""
    asked = run.options.config or {}
    caller = user_configurable(None if run.user is None else User(run.user))
    configurable = {**(asked.get("configurable") or {}), **caller, **run.ids, **checkpoint}
    configurable.pop("ceilings", None)
    if run.options.strict_resume:
        configurable["__pregel_strict_resume"] = True
    config: dict[str, Any] = {
        "configurable": configurable,
        "metadata": {**run.metadata, **run.ids, "run_attempt": run.attempt},
        "recursion_limit": _recursion_limit(run, {}, steps_left),
        "run_id": UUID(run.run_id),
    }
    config |= {name: asked[name] for name in _PASSED_ON if asked.get(name)}
    return cast(RunnableConfig, config)


def bound_config(run: Run, bound: RunnableConfig, name: str, steps_left: int) -> RunnableConfig:
    """The recursion limit and the name of the run, which depend on what the graph was given by `with_config` (`bound`).
    LangGraph itself merges the rest of it. `name` is the graph's."""
    asked = run.options.config or {}
    return {
        "recursion_limit": _recursion_limit(run, bound, steps_left),
        "run_name": asked.get("run_name") or bound.get("run_name") or name,
    }


def _recursion_limit(run: Run, bound: RunnableConfig, steps_left: int) -> int:
    """The request's, else the assistant's, else the graph's own, else the default; always within the ceiling. LangGraph
    needs one more than it executes, to see that nothing is left; the ceiling itself is `CeilingGuard`'s."""
    asked = (run.options.config or {}).get("recursion_limit")
    limit = asked or bound.get("recursion_limit") or default_recursion_limit()
    return int(min(limit, max(1, steps_left + 1)))


def context_of(run: Run) -> dict[str, Any]:
    """The run's context as its client and its assistant gave it; `ceilings` in it are meant for the server."""
    return {name: value for name, value in (run.options.context or {}).items() if name != "ceilings"}
