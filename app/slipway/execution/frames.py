"""What LangGraph streams, as the frames that clients get: encoded once, here.

`FrameEncoder` knows which modes were asked for and yields (event name, frame) for each chunk. The frame is complete
but for its id, which Redis gives (protocol: section 3.2 for the shapes, 3.6 for messages).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.types import Interrupt

from slipway.exception_text import is_a, repr_of
from slipway.execution.failures import shown_error
from slipway.execution.subgraph_events import SubgraphEvents
from slipway.execution.tool_events import ToolEvents
from slipway.serialization.json_encoding import dumps
from slipway.shown_exceptions import public_repr
from slipway.sse_frames import encode_frame, event_name
from slipway.threads.protocol_state import place_of, thread_of

Frame = tuple[str, bytes]

CHECKPOINT_REFS: Final = "checkpoints/brief"
"""A mode of our own: which checkpoint it is, and not what it holds. Who follows all modes has that already."""

LIFECYCLE: Final = "lifecycle"
"""When the graphs inside begin and end, also where their other events were not asked for."""

_MODE_ALIASES: Final = {"messages-tuple": "messages", CHECKPOINT_REFS: "checkpoints", LIFECYCLE: "tasks"}

SECRET_PREFIXES: Final = ("__", "langgraph_auth_")


def frame(name: str, data: Any) -> Frame:
    """The name and the frame of one event with JSON data. `name` may contain names of nodes."""
    name = event_name(name)
    return name, encode_frame(name, dumps(data))


def public_config(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A config without what belongs to the machinery or to the caller's identity."""
    if config is None:
        return None
    configurable = config.get("configurable", {})
    kept = {name: value for name, value in configurable.items() if not name.startswith(SECRET_PREFIXES)}
    return {"configurable": kept}


class FrameEncoder:
    """The frames of one run. `modes` are the protocol's words; `subgraphs` adds namespaces to event names."""

    def __init__(self, modes: Sequence[str], *, subgraphs: bool) -> None:
        self._modes = frozenset(modes)
        self._subgraphs = subgraphs
        self._said: dict[str, BaseMessageChunk] = {}
        self._introduced: set[str] = set()
        self._asked: dict[tuple[str, ...], dict[str, Interrupt]] = {}
        self._tools = ToolEvents()
        self._lifecycle = SubgraphEvents() if LIFECYCLE in modes else None

    @property
    def graph_modes(self) -> set[str]:
        """What LangGraph must be asked for to serve these modes."""
        return {_MODE_ALIASES.get(mode, mode) for mode in self._modes if mode != "events"}

    def of(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Frame]:
        """The frames of one chunk; none when its mode was not asked for."""
        if self._lifecycle is not None:
            for inside, event in self._lifecycle.of(namespace, mode, payload):
                yield frame("|".join((LIFECYCLE, *inside)), event)
        if not namespace or self._subgraphs:
            yield from self._requested_frames(namespace, mode, payload)

    def _requested_frames(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Frame]:
        if mode == "messages":
            yield from self._messages(namespace, payload)
        elif mode == "checkpoints" and CHECKPOINT_REFS in self._modes:
            yield frame(self._name(CHECKPOINT_REFS, namespace), _brief(payload))
        elif mode.startswith("custom:"):
            yield frame(mode, payload)
        elif mode == "tools" and mode in self._modes:
            yield frame(self._name(mode, namespace), self._tools.of(payload))
        elif mode == "values" and mode in self._modes:
            yield frame(self._name(mode, namespace), self._state(namespace, payload))
        elif mode in self._modes:
            shape = _SHAPES.get(mode)
            yield frame(self._name(mode, namespace), shape(payload) if shape else payload)

    def _state(self, namespace: Sequence[str], payload: Any) -> Any:
        """A state with all that was asked by now: tasks that ask at the same time come one by one, and who takes the
        last state for the result must know of every question."""
        if not isinstance(payload, dict) or not payload.get(INTERRUPT):
            return payload
        asked = self._asked.setdefault(tuple(namespace), {})
        asked |= {item.id: item for item in payload[INTERRUPT]}
        return {**payload, INTERRUPT: list(asked.values())}

    def _name(self, mode: str, namespace: Sequence[str]) -> str:
        return "|".join((mode, *namespace)) if namespace and self._subgraphs else mode

    def _messages(self, namespace: Sequence[str], payload: tuple[BaseMessage, dict[str, Any]]) -> Iterator[Frame]:
        if "messages-tuple" in self._modes:
            yield frame(self._name("messages", namespace), payload)
        elif "messages" in self._modes:
            yield from self._cumulative(*payload)

    def _cumulative(self, message: BaseMessage, metadata: dict[str, Any]) -> Iterator[Frame]:
        """Text so far, for clients that replace rather than append."""
        ident = message.id or ""
        if ident not in self._introduced:
            self._introduced.add(ident)
            yield frame("messages/metadata", {ident: {"metadata": metadata}})
        if isinstance(message, BaseMessageChunk):
            so_far = self._said.get(ident)
            whole = message if so_far is None else so_far + message
            assert isinstance(whole, BaseMessageChunk)
            self._said[ident] = whole
            yield frame("messages/partial", [message_chunk_to_message(whole)])
        else:
            yield frame("messages/complete", [message])


def _checkpoint(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **payload,
        "config": public_config(payload["config"]),
        "parent_config": public_config(payload["parent_config"]),
        "metadata": {**(payload["metadata"] or {}), **thread_of(place_of(payload["config"]))},
        "tasks": [_checkpoint_task(task) for task in payload["tasks"]],
    }


def _brief(payload: Mapping[str, Any]) -> dict[str, Any]:
    ident, parent = ((payload[name] or {}).get("configurable", {}) for name in ("config", "parent_config"))
    metadata = payload["metadata"]
    shown = {"id": ident.get("checkpoint_id"), "step": metadata.get("step"), "source": metadata.get("source")}
    return shown | ({"parent_id": parent["checkpoint_id"]} if parent.get("checkpoint_id") else {})


def _checkpoint_task(task: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(task)
    if isinstance(shown.get("state"), Mapping):
        shown["state"] = public_config(shown["state"])
    if shown.get("error") is not None:
        error = shown["error"]
        shown["error"] = public_repr(error) if is_a(error, BaseException) else repr_of(error)
    return shown


def _task(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    error = payload.get("error")
    if isinstance(error, BaseException):
        return {**payload, "error": shown_error(error)}
    return payload


def _debug(payload: Mapping[str, Any]) -> dict[str, Any]:
    inner = payload["payload"]
    if payload["type"] != "checkpoint":
        return {**payload, "payload": _task(inner)}
    shown = _checkpoint(inner)
    shown["checkpoint"], shown["parent_checkpoint"] = place_of(inner["config"]), place_of(inner["parent_config"])
    shown["tasks"] = [_debug_task(task) for task in shown["tasks"]]
    return {**payload, "payload": shown}


def _debug_task(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task of a subgraph says where the subgraph's checkpoints are, in place of the config that the mode
    `checkpoints` shows."""
    state = task.get("state")
    if not isinstance(state, Mapping):
        return task
    rest = {name: value for name, value in task.items() if name != "state"}
    return {**rest, "checkpoint": state["configurable"]}


def _event(payload: Mapping[str, Any]) -> dict[str, Any]:
    metadata = payload.get("metadata") or {}
    return {**payload, "metadata": {k: v for k, v in metadata.items() if not k.startswith(SECRET_PREFIXES)}}


_SHAPES: Final = {"checkpoints": _checkpoint, "tasks": _task, "debug": _debug, "events": _event}
