"""The ids that LangGraph gives the tasks of a checkpoint. It finds stored answers, results and subgraphs by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langgraph.pregel._algo import _xxhash_str

_PULL: Final = "__pregel_pull"
_PUSH: Final = "__pregel_push"


def task_id(checkpoint_id: str, namespace: str, step: int, node: str, triggers: Sequence[str]) -> str:
    """The id of the task of a node that channels start. `step` is the superstep of the task, one more than that of its
    checkpoint; `triggers` are all channels that may start the node, sorted."""
    return _id(checkpoint_id, namespace, step, node, _PULL, *triggers)


def send_task_id(checkpoint_id: str, namespace: str, step: int, node: str, position: int) -> str:
    """The id of the task that the `Send` at this position in the checkpoint starts."""
    return _id(checkpoint_id, namespace, step, node, _PUSH, str(position))


def call_task_id(checkpoint_id: str, caller: str, step: int, function: str, path: str, position: int) -> str:
    """The id of a call of a function with `@task`. `caller` and `path` are the namespace and the stored path of the
    task that calls it, `position` is the number of the call among its calls."""
    return _id(checkpoint_id, caller, step, function, _PUSH, path, str(position))


def namespace_of_call(namespace: str, node: str, task: str) -> str:
    """The namespace of the subgraph that a task executes. `namespace` is that of the task's graph, "" for the root."""
    return f"{namespace}|{node}:{task}" if namespace else f"{node}:{task}"


def _id(checkpoint_id: str, namespace: str, step: int, node: str, *rest: str) -> str:
    place = f"{namespace}|{node}" if namespace else node
    return _xxhash_str(bytes.fromhex(checkpoint_id.replace("-", "")), place, str(step), node, *rest)
