"""State writes of clients in the form that LangGraph takes, and the error when the graph rejects one."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast

import structlog
from langgraph.errors import EmptyChannelError, InvalidUpdateError
from langgraph.types import Command, Send, StateUpdate

from slipway.errors import InvalidRequest, RefusedRequest, SlipwayError
from slipway.exception_text import class_name, is_a, message_of, traceback_of
from slipway.graphs.goto_targets import missing_targets, own_nodes, sentence_of
from slipway.graphs.served_version import ServedVersion

log = structlog.get_logger(__name__)

_PUBLIC_ERRORS: Final = (InvalidUpdateError, EmptyChannelError, ValueError, KeyError, TypeError)


def update_error(graph_id: str, error: BaseException) -> RefusedRequest | None:
    """The error for the client when a graph raises on a state write; None if the error is not the graph's. Its text is
    included only for exceptions whose texts are meant for users: any other text may contain secrets."""
    if is_a(error, (SlipwayError, ConnectionError, asyncio.CancelledError)):
        return None
    if is_a(error, _PUBLIC_ERRORS):
        return RefusedRequest(f"graph {graph_id!r} rejected the update: {message_of(error)}")
    log.warning("state_write.raised", graph=graph_id, exception=traceback_of(error))
    return RefusedRequest(f"graph {graph_id!r} rejected the update: it raised {class_name(error)}")


def update_of(values: Any, command: Mapping[str, Any] | None, as_node: str | None) -> StateUpdate:
    """One state write in LangGraph's form. A command replaces the values."""
    if command is None:
        return StateUpdate(update_values(values), as_node)
    langgraph_command = Command(
        resume=command.get("resume"), update=_pairs(command.get("update")), goto=_goto(command.get("goto"))
    )
    return StateUpdate(cast("dict[str, Any]", langgraph_command), as_node)


def require_targets(
    supersteps: Sequence[Sequence[StateUpdate]], version: ServedVersion, nodes: Collection[str]
) -> None:
    """Raises `InvalidRequest` if a command goes to a node that is not among the `nodes` of the version."""
    for update in (each for updates in supersteps for each in updates):
        command: Any = update.values
        if isinstance(command, Command) and (missing := missing_targets(command.goto, nodes)):
            problem = sentence_of(missing, version.graph_id, version.name, nodes)
            raise InvalidRequest("command.goto", problem, own_nodes(nodes))


def update_values(values: Any) -> Any:
    """Converts a list of (channel, value) pairs to an object, or to a command if a channel occurs twice."""
    pairs = _pairs(values)
    if pairs is values:
        return values
    members = dict(pairs)
    return members if len(members) == len(pairs) else Command(update=pairs)


def _pairs(values: Any) -> Any:
    """In JSON a pair is a list; LangGraph expects tuples."""
    if isinstance(values, list) and values and all(_is_pair(value) for value in values):
        return [tuple(value) for value in values]
    return values


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _goto(goto: Any) -> list[str | Send]:
    targets = goto if isinstance(goto, list) else [] if goto is None else [goto]
    return [target if isinstance(target, str) else Send(target["node"], target.get("input")) for target in targets]
