"""Messages as content blocks: what a log says of a message, chunk by chunk or whole, as the events of the event
protocol's `messages` channel.

    message-start, for each block (content-block-start, -delta …, -finish), message-finish | error

Every event carries the message's id, as `id` and as `run_id`: so clients can tell apart messages that are made at the
same time, whichever of the two they look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk

Data = dict[str, Any]

ROLES: Final = {"ai": "ai", "AIMessageChunk": "ai", "human": "human", "system": "system", "tool": "tool"}
"""The protocol's role of a message's type. Other types have none of their own and are told as `ai`."""

_CHUNKS: Final = frozenset({"tool_call_chunk", "server_tool_call_chunk"})
_GROWS: Final = {"text": ("text", "text-delta"), "reasoning": ("reasoning", "reasoning-delta")}
_KEPT_METADATA: Final = ("langgraph_node", "langgraph_step", "langgraph_checkpoint_ns", "ls_model_name", "ls_provider")


@dataclass(slots=True)
class _Block:
    index: int
    content: Data


@dataclass(slots=True)
class MessageStream:
    """One message that is being made. `about` is the metadata that LangGraph streams beside it."""

    ident: str
    about: Mapping[str, Any]
    blocks: dict[object, _Block] = field(default_factory=dict)
    usage: Data | None = None
    metadata: Data = field(default_factory=dict)
    said: str = ""

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(block.content.get("text", "") for block in self.blocks.values())

    def start(self, message: Mapping[str, Any]) -> Data:
        """The first event."""
        data: Data = {"event": "message-start", "role": ROLES.get(message.get("type", ""), "ai")}
        if kept := {name: self.about[name] for name in _KEPT_METADATA if self.about.get(name) is not None}:
            data["metadata"] = kept
        if message.get("tool_call_id"):
            data["tool_call_id"] = message["tool_call_id"]
        return self._mine(data)

    def add(self, message: Mapping[str, Any]) -> Iterator[Data]:
        """What another chunk brings."""
        self._note(message)
        for key, block in _blocks_of(message):
            held = self.blocks.get(key)
            if held is None:
                held = self.blocks[key] = _Block(len(self.blocks), _skeleton(block))
                yield self._mine({"event": "content-block-start", "index": held.index, "content": dict(held.content)})
            delta = _grow(held.content, block)
            if delta is not None:
                yield self._mine({"event": "content-block-delta", "index": held.index, "delta": delta})

    def so_far(self, text: str) -> Iterator[Data]:
        """What is new in the whole text so far."""
        new = text[len(self.said) :] if text.startswith(self.said) else text
        self.said = text
        if new:
            yield from self.add({"content": new})

    def finish(self) -> Iterator[Data]:
        """The end of every block, and of the message."""
        for block in self.blocks.values():
            content = _finished(block.content)
            yield self._mine({"event": "content-block-finish", "index": block.index, "content": content})
        data: Data = {"event": "message-finish"}
        if self.usage:
            data["usage"] = self.usage
        if self.metadata:
            data["metadata"] = self.metadata
        yield self._mine(data)

    def fail(self, message: str) -> Data:
        """The message will never be whole."""
        return self._mine({"event": "error", "message": message})

    def _note(self, message: Mapping[str, Any]) -> None:
        self.metadata |= message.get("response_metadata") or {}
        for name, count in (message.get("usage_metadata") or {}).items():
            held = self.usage = self.usage or {}
            held[name] = held.get(name, 0) + count if isinstance(count, int) else count

    def _mine(self, data: Data) -> Data:
        return data | {"id": self.ident, "run_id": self.ident} if self.ident else data


def text_of(message: Mapping[str, Any]) -> str:
    """All text of a message."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text", "")) for block in content or () if isinstance(block, dict))


def _blocks_of(message: Mapping[str, Any]) -> Iterator[tuple[object, Data]]:
    """The blocks of a message or chunk, each with what makes it the same block in the next chunk."""
    content, calls = message.get("content"), message.get("tool_call_chunks") or message.get("tool_calls")
    if isinstance(content, str) and not calls:
        if content:
            yield "text", {"type": "text", "text": content}
        return
    chunk = message.get("type") == "AIMessageChunk"
    for place, block in enumerate(_normal(message, chunk)):
        kind, index = block.get("type"), block.get("index")
        # without an index of its own, text goes on where text was
        key = (kind, index) if index is not None else "text" if kind == "text" else (kind, chunk or place)
        yield key, {name: value for name, value in block.items() if name != "index" and value is not None}


def _normal(message: Mapping[str, Any], chunk: bool) -> list[Data]:
    """LangChain's own reading of what providers put into `content`."""
    if not chunk and message.get("type") != "ai":
        content = message.get("content")
        return [block if isinstance(block, dict) else {"type": "text", "text": str(block)} for block in content or ()]
    fields = {name: message[name] for name in _READ if message.get(name) is not None}
    fields.setdefault("content", "")
    whole: AIMessage = AIMessageChunk(**fields) if chunk else AIMessage(**fields)
    return [dict(block) for block in whole.content_blocks]


_READ: Final = (
    "content",
    "additional_kwargs",
    "response_metadata",
    "tool_calls",
    "tool_call_chunks",
    "invalid_tool_calls",
    "chunk_position",
)


def _skeleton(block: Data) -> Data:
    """A block before its first delta. What does not grow is there at once."""
    kind = block.get("type")
    if kind in _GROWS:
        name, _ = _GROWS[kind]
        return block | {name: ""}
    return block | {"args": ""} if kind in _CHUNKS else dict(block)


def _grow(held: Data, block: Data) -> Data | None:
    """Add `block` to what is held; the delta that tells it, if there is one."""
    kind = block.get("type", "")
    if kind in _GROWS:
        name, delta = _GROWS[kind]
        new = block.get(name) or ""
        held[name] += new
        return {"type": delta, name: new} if new else None
    if kind not in _CHUNKS:
        if held == block:
            return None
        held.update(block)
        return {"type": "block-delta", "fields": dict(block)}
    new = block.get("args") or ""
    late = {name: block[name] for name in ("id", "name") if block.get(name) and not held.get(name)}
    held.update(late)
    held["args"] += new
    if late:
        return {"type": "block-delta", "fields": {"type": kind, **late, "args": held["args"]}}
    return {"type": "tool-call-delta", "args": new} if new else None


def _finished(content: Data) -> Data:
    """A whole block: the arguments of a tool call are parsed by now."""
    kind = content.get("type")
    if kind not in _CHUNKS:
        return content
    named = {"id": content.get("id"), "name": content.get("name") or ""}
    try:
        args = orjson.loads(content["args"] or "{}")
    except orjson.JSONDecodeError:
        args = None
    if isinstance(args, dict):
        return {"type": str(kind).removesuffix("_chunk"), **named, "args": args}
    return {"type": "invalid_tool_call", **named, "args": content["args"], "error": "the arguments are not JSON"}


_MESSAGE: Final = frozenset({"ai", "human", "system", "tool", "function", "chat", "remove", "AIMessageChunk"})
_SHOWN: Final = frozenset(
    {
        "type",
        "content",
        "id",
        "name",
        "tool_calls",
        "invalid_tool_calls",
        "tool_call_id",
        "status",
        "artifact",
        "response_metadata",
        "usage_metadata",
        "additional_kwargs",
        "role",
    }
)
_IF_ANY: Final = frozenset({"response_metadata", "usage_metadata", "additional_kwargs", "name", "id", "artifact"})


def plain_messages(value: Any) -> Any:
    """`value` with the messages in it in the protocol's form: without what only chunks have, and without what is empty,
    but for the artifact of a tool's message."""
    if isinstance(value, list):
        return [plain_messages(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") in _MESSAGE and "content" in value and "additional_kwargs" in value:
        kind = "ai" if value["type"] == "AIMessageChunk" else value["type"]
        left_out = _IF_ANY - {"artifact"} if kind == "tool" else _IF_ANY
        kept = {name: member for name, member in value.items() if name in _SHOWN and (member or name not in left_out)}
        return kept | {"type": kind}
    return {name: plain_messages(member) for name, member in value.items()}
