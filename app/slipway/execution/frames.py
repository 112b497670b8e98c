"""Encodes LangGraph's chunks as the frames that clients receive. Each frame is encoded once, here. It has no id yet:
Redis assigns the id when the frame is appended to the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.types import Interrupt

from slipway.exception_text import is_a, repr_of
from slipway.execution.failure_from_exception import public_error
from slipway.execution.state_json import StateJson
from slipway.execution.subgraph_events import SubgraphEvents
from slipway.execution.tool_events import ToolEvents
from slipway.redaction.redact import redact_json
from slipway.serialization.json_encoding import dumps
from slipway.shown_exceptions import public_repr
from slipway.sse_frames import encode_frame, event_name
from slipway.threads.protocol_state import checkpoint_ref, thread_metadata

Frame = tuple[str, bytes]

CHECKPOINT_REFS: Final = "checkpoints/brief"
"""A mode of Slipway: the id and the step of each checkpoint, without its state."""

LIFECYCLE: Final = "lifecycle"
"""A mode of Slipway: when subgraphs start and end. It can be requested without the other events of subgraphs."""

CUSTOM_PREFIX: Final = "custom:"
"""The prefix of the modes of stream transformers. The name of the transformer's channel follows."""

_MODE_ALIASES: Final = {"messages-tuple": "messages", CHECKPOINT_REFS: "checkpoints", LIFECYCLE: "tasks"}

SECRET_PREFIXES: Final = ("__", "langgraph_auth_")


def frame(name: str, data: Any) -> Frame:
    """The name and the frame of one event with JSON data, in which secrets are replaced. `name` may contain names of
    nodes."""
    return frame_of_json(name, redact_json(dumps(data)))


def frame_of_json(name: str, data: bytes) -> Frame:
    """The same for data that is encoded already, without secrets."""
    name = event_name(name)
    return name, encode_frame(name, data)


def public_config(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A config without internal values of LangGraph and without the user."""
    if config is None:
        return None
    configurable = config.get("configurable", {})
    public = {name: value for name, value in configurable.items() if not name.startswith(SECRET_PREFIXES)}
    return {"configurable": public}


class FrameEncoder:
    """Encodes the chunks of one run. `modes` are the requested modes, in the names of the protocol. `subgraphs` adds
    namespaces to the names of events. `state_json` may have encoded the state of the root graph already."""

    def __init__(self, modes: Sequence[str], *, subgraphs: bool, state_json: StateJson | None = None) -> None:
        self._modes = frozenset(modes)
        self._subgraphs = subgraphs
        self._cumulative_messages: dict[str, BaseMessageChunk] = {}
        """The part of each message that was streamed so far, by id."""
        self._with_metadata: set[str] = set()
        """Ids of the messages whose metadata was sent."""
        self._interrupts: dict[tuple[str, ...], dict[str, Interrupt]] = {}
        """Interrupts by namespace and id."""
        self._tools = ToolEvents()
        self._lifecycle = SubgraphEvents() if LIFECYCLE in modes else None
        self._streamed = self._modes | self.graph_modes
        """The names of the modes whose chunks may have frames, beside those of stream transformers."""
        self._state_json = state_json or StateJson()

    @property
    def graph_modes(self) -> set[str]:
        """LangGraph's modes from which the frames of the requested modes are built."""
        return {_MODE_ALIASES.get(mode, mode) for mode in self._modes if mode != "events"}

    def encode(self, namespace: Sequence[str], mode: str, payload: Any) -> Sequence[Frame]:
        """The frames of one chunk. Empty if its mode was not requested."""
        if self._lifecycle is None and mode not in self._streamed and not mode.startswith(CUSTOM_PREFIX):
            return ()
        return tuple(self._frames(namespace, mode, payload))

    def _frames(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Frame]:
        if self._lifecycle is not None:
            for subgraph, event in self._lifecycle.events_for(namespace, mode, payload):
                yield frame("|".join((LIFECYCLE, *subgraph)), event)
        if not namespace or self._subgraphs:
            yield from self._requested_frames(namespace, mode, payload)

    def _requested_frames(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Frame]:
        if mode == "messages":
            yield from self._messages(namespace, payload)
        elif mode == "checkpoints" and CHECKPOINT_REFS in self._modes:
            yield frame(self._name(CHECKPOINT_REFS, namespace), _brief_checkpoint(payload))
        elif mode.startswith(CUSTOM_PREFIX):
            yield frame(mode, payload)
        elif mode == "tools" and mode in self._modes:
            yield frame(self._name(mode, namespace), self._tools.encode(payload))
        elif mode == "values" and mode in self._modes:
            state = self._state_json.dumps(self._merge_interrupts(namespace, payload))
            yield frame_of_json(self._name(mode, namespace), state)
        elif mode in self._modes:
            shape = _SHAPES.get(mode)
            yield frame(self._name(mode, namespace), shape(payload) if shape else payload)

    def _merge_interrupts(self, namespace: Sequence[str], payload: Any) -> Any:
        """A state with all interrupts that were streamed so far. LangGraph streams the interrupts of parallel tasks one
        by one, but a client that uses the last state as the result needs all of them."""
        if not isinstance(payload, dict) or not payload.get(INTERRUPT):
            return payload
        interrupts = self._interrupts.setdefault(tuple(namespace), {})
        interrupts |= {item.id: item for item in payload[INTERRUPT]}
        return {**payload, INTERRUPT: list(interrupts.values())}

    def _name(self, mode: str, namespace: Sequence[str]) -> str:
        return "|".join((mode, *namespace)) if namespace and self._subgraphs else mode

    def _messages(self, namespace: Sequence[str], payload: tuple[BaseMessage, dict[str, Any]]) -> Iterator[Frame]:
        if "messages-tuple" in self._modes:
            yield frame(self._name("messages", namespace), payload)
        elif "messages" in self._modes:
            yield from self._cumulative(*payload)

    def _cumulative(self, message: BaseMessage, metadata: dict[str, Any]) -> Iterator[Frame]:
        """The message as streamed so far, for clients that replace its text instead of appending to it."""
        message_id = message.id or ""
        if message_id not in self._with_metadata:
            self._with_metadata.add(message_id)
            yield frame("messages/metadata", {message_id: {"metadata": metadata}})
        if isinstance(message, BaseMessageChunk):
            earlier = self._cumulative_messages.get(message_id)
            merged = message if earlier is None else earlier + message
            assert isinstance(merged, BaseMessageChunk)
            self._cumulative_messages[message_id] = merged
            yield frame("messages/partial", [message_chunk_to_message(merged)])
        else:
            yield frame("messages/complete", [message])


def _checkpoint(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **payload,
        "config": public_config(payload["config"]),
        "parent_config": public_config(payload["parent_config"]),
        "metadata": {**(payload["metadata"] or {}), **thread_metadata(checkpoint_ref(payload["config"]))},
        "tasks": [_checkpoint_task(task) for task in payload["tasks"]],
    }


def _brief_checkpoint(payload: Mapping[str, Any]) -> dict[str, Any]:
    config, parent_config = ((payload[name] or {}).get("configurable", {}) for name in ("config", "parent_config"))
    metadata = payload["metadata"]
    brief = {"id": config.get("checkpoint_id"), "step": metadata.get("step"), "source": metadata.get("source")}
    return brief | ({"parent_id": parent_config["checkpoint_id"]} if parent_config.get("checkpoint_id") else {})


def _checkpoint_task(task: Mapping[str, Any]) -> dict[str, Any]:
    public_task = dict(task)
    if isinstance(public_task.get("state"), Mapping):
        public_task["state"] = public_config(public_task["state"])
    if public_task.get("error") is not None:
        error = public_task["error"]
        public_task["error"] = public_repr(error) if is_a(error, BaseException) else repr_of(error)
    return public_task


def _task(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    error = payload.get("error")
    if isinstance(error, BaseException):
        return {**payload, "error": public_error(error)}
    return payload


def _debug(payload: Mapping[str, Any]) -> dict[str, Any]:
    content = payload["payload"]
    if payload["type"] != "checkpoint":
        return {**payload, "payload": _task(content)}
    checkpoint = _checkpoint(content)
    checkpoint["checkpoint"] = checkpoint_ref(content["config"])
    checkpoint["parent_checkpoint"] = checkpoint_ref(content["parent_config"])
    checkpoint["tasks"] = [_debug_task(task) for task in checkpoint["tasks"]]
    return {**payload, "payload": checkpoint}


def _debug_task(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task in the form of the mode `debug`: a task that executes a subgraph has a reference to the subgraph's
    checkpoint. In the mode `checkpoints` it has a config."""
    state = task.get("state")
    if not isinstance(state, Mapping):
        return task
    members = {name: value for name, value in task.items() if name != "state"}
    return {**members, "checkpoint": state["configurable"]}


def _event(payload: Mapping[str, Any]) -> dict[str, Any]:
    metadata = payload.get("metadata") or {}
    return {**payload, "metadata": {k: v for k, v in metadata.items() if not k.startswith(SECRET_PREFIXES)}}


_SHAPES: Final = {"checkpoints": _checkpoint, "tasks": _task, "debug": _debug, "events": _event}
