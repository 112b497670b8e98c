"""The channels of a stored checkpoint: which of them are state, and their values for the graph of another version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langgraph.channels.base import BaseChannel
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import PendingWrite
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.constants import START
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.graphs.interface import Graph
from slipway.thread_moves.errors import CannotMove
from slipway.thread_moves.stored_thread import StoredCheckpoint

BRANCH: Final = "branch:to:"
_JOIN: Final = "join:"
_INTERNAL: Final = ("branch:", _JOIN, "__pregel_")


def is_state(channel: str) -> bool:
    """Whether the project's code names the channel. The others are LangGraph's own."""
    return channel != START and not channel.startswith(_INTERNAL)


async def state_of(
    stored: StoredCheckpoint, graph: Graph, checkpointer: BaseCheckpointer, thread_id: str
) -> dict[str, Any]:
    """The values of the state channels. Delta channels are rebuilt with the reducers of `graph`. Raises `CannotMove`
    for one that this graph does not have as a delta channel: then nothing knows its reducer."""
    raw = stored.checkpoint["channel_values"]
    values = {channel: value for channel, value in raw.items() if is_state(channel)}
    deltas = [
        channel
        for channel in stored.checkpoint["channel_versions"]
        if is_state(channel) and (isinstance(graph.channels.get(channel), DeltaChannel) or _is_unsaved(stored, channel))
    ]
    unsaved = [channel for channel in deltas if channel not in raw]
    target = {"thread_id": thread_id, "checkpoint_ns": stored.namespace, "checkpoint_id": stored.id}
    history: Mapping[str, Any] = {}
    if unsaved:
        history = await checkpointer.aget_delta_channel_history(config={"configurable": target}, channels=unsaved)
    for channel in deltas:
        if channel in unsaved:
            values[channel] = _rebuilt(channel, graph.channels.get(channel), history.get(channel, {}))
        elif isinstance(raw[channel], _DeltaSnapshot):
            values[channel] = raw[channel].value
    return values


def _is_unsaved(stored: StoredCheckpoint, channel: str) -> bool:
    """Whether the value of the channel is in the writes of earlier checkpoints."""
    value = stored.checkpoint["channel_values"].get(channel)
    counters = stored.metadata.get("counters_since_delta_snapshot") or {}
    return isinstance(value, _DeltaSnapshot) or (value is None and channel in counters)


def _rebuilt(channel: str, spec: Any, history: Mapping[str, Any]) -> Any:
    if not isinstance(spec, DeltaChannel):
        raise CannotMove(
            "channel.delta_lost",
            f"channel {channel!r} is stored as changes, and only its reducer can rebuild it: keep it in the new "
            "version until no thread has it",
        )
    writes: Sequence[PendingWrite] = history.get("writes", ())
    rebuilt: DeltaChannel[Any] = spec.from_checkpoint(history["seed"] if "seed" in history else spec.typ())
    rebuilt.replay_writes(writes)
    return rebuilt.get()


def stored_value(spec: object, value: Any) -> Any:
    """A value as the checkpoint of a graph with this channel holds it."""
    return _DeltaSnapshot(value) if isinstance(spec, DeltaChannel) else value


def type_problem(spec: object, value: Any) -> str:
    """Why a value is not of the type of its channel. Empty if it is, or if the type cannot be checked."""
    if not isinstance(spec, BaseChannel):
        return "the channel is computed and never stored"
    try:
        adapter = _adapter(spec.ValueType)
    except Exception:  # a type that Pydantic cannot describe, or a channel class of the project
        return ""
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{part!r}]" for part in first["loc"])
        return f"{where}{': ' if where else ''}{first['msg']}"
    return ""


def _adapter(declared: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(declared, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type with a config of its own
        return TypeAdapter(declared)


def schema_problem(graph: Graph, values: Mapping[str, Any], *, may_lack: bool) -> str:
    """Why the state class of the graph rejects these values. Empty if it does not, or is no Pydantic class.
    `may_lack`: members may be missing, because the next input can bring them."""
    schema = getattr(getattr(graph, "builder", None), "state_schema", None)
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return ""
    try:
        schema.model_validate({name: value for name, value in values.items() if name in schema.model_fields})
    except ValidationError as error:
        found = list(error.errors(include_url=False, include_input=False))
        wrong = [each for each in found if not (may_lack and each["type"] == "missing")]
        if wrong:
            return f"{'.'.join(map(str, wrong[0]['loc']))}: {wrong[0]['msg']}"
    return ""


def renamed_channel(
    channel: str, nodes: Mapping[str, str], channels: Mapping[str, str], known: Mapping[str, Any]
) -> str:
    """The name of a channel in the new version. `known` are its channels."""
    if channel.startswith(BRANCH):
        node = channel.removeprefix(BRANCH)
        return BRANCH + nodes.get(node, node)
    if channel.startswith(_JOIN):
        return _renamed_join(channel, nodes, known)
    return channels.get(channel, channel) if is_state(channel) else channel


def _renamed_join(channel: str, nodes: Mapping[str, str], known: Mapping[str, Any]) -> str:
    """The channel that waits for the same nodes. Their order in its name is that of the call that has added the
    edge."""
    wanted = _join_of(channel, nodes)
    return next((name for name in known if name.startswith(_JOIN) and _join_of(name, {}) == wanted), channel)


def _join_of(channel: str, nodes: Mapping[str, str]) -> tuple[frozenset[str], str]:
    starts, _, end = channel.removeprefix(_JOIN).rpartition(":")
    return frozenset(nodes.get(start, start) for start in starts.split("+")), nodes.get(end, end)


def started_by(channel: str, value: Any) -> str:
    """The node that this value of a channel of LangGraph's own starts. Empty if it starts none."""
    if channel.startswith(BRANCH):
        return channel.removeprefix(BRANCH)
    if channel.startswith(_JOIN) and isinstance(value, set | frozenset):
        starts, end = _join_of(channel, {})
        return end if value >= starts else ""
    return ""
