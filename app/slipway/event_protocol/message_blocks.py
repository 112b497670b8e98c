"""Converts the chunks of a message, or a complete message, to the content blocks of the event protocol: the events of
its channel `messages`. Their order for one message is:

    message-start, for each block (content-block-start, -delta …, -finish), message-finish | error

Every event has the id of the message, as `id` and as `run_id`. Clients use it to distinguish messages that are streamed
at the same time; some clients read the first member and some the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, AIMessageChunk

Data = dict[str, Any]

ROLES: Final = {"ai": "ai", "AIMessageChunk": "ai", "human": "human", "system": "system", "tool": "tool"}
"""The role in the protocol by type of message. Messages of other types have the role `ai`."""

_CALL_CHUNKS: Final = frozenset({"tool_call_chunk", "server_tool_call_chunk"})
_TEXT_BLOCKS: Final = {"text": ("text", "text-delta"), "reasoning": ("reasoning", "reasoning-delta")}
_METADATA: Final = ("langgraph_node", "langgraph_step", "langgraph_checkpoint_ns", "ls_model_name", "ls_provider")


class _Block:
    """One content block, which chunks extend. Only this class changes `content`."""

    def __init__(self, index: int, first: Data) -> None:
        """`first` is the block of the first chunk. The caller passes it to `extend` too, like that of each chunk."""
        self.index, self.content = index, _empty_block(first)

    def extend(self, block: Data) -> Data | None:
        """Adds the block of a chunk. Returns the delta, if there is one."""
        kind = block.get("type", "")
        if kind in _TEXT_BLOCKS:
            name, delta = _TEXT_BLOCKS[kind]
            new = block.get(name) or ""
            self.content[name] += new
            return {"type": delta, name: new} if new else None
        if kind not in _CALL_CHUNKS:
            if self.content == block:
                return None
            self.content |= block
            return {"type": "block-delta", "fields": dict(block)}
        new = block.get("args") or ""
        late = {name: block[name] for name in ("id", "name") if block.get(name) and not self.content.get(name)}
        self.content |= late
        self.content["args"] += new
        if late:
            return {"type": "block-delta", "fields": {"type": kind, **late, "args": self.content["args"]}}
        return {"type": "tool-call-delta", "args": new} if new else None


@dataclass(slots=True)
class MessageStream:
    """One message that is not finished. `metadata` is the metadata that LangGraph streams with it."""

    message_id: str
    metadata: Mapping[str, Any]
    blocks: dict[object, _Block] = field(default_factory=dict)
    usage: Data | None = None
    response_metadata: Data = field(default_factory=dict)
    cumulative_text: str = ""

    @property
    def text(self) -> str:
        """The text of all chunks so far."""
        return "".join(block.content.get("text", "") for block in self.blocks.values())

    def start(self, message: Mapping[str, Any]) -> Data:
        """The data of the first event."""
        data: Data = {"event": "message-start", "role": ROLES.get(message.get("type", ""), "ai")}
        if metadata := {name: self.metadata[name] for name in _METADATA if self.metadata.get(name) is not None}:
            data["metadata"] = metadata
        if message.get("tool_call_id"):
            data["tool_call_id"] = message["tool_call_id"]
        return self._with_id(data)

    def add(self, message: Mapping[str, Any]) -> Iterator[Data]:
        """The data of the events for the next chunk."""
        self._add_metadata(message)
        for key, block in _blocks_of(message):
            current = self.blocks.get(key)
            if current is None:
                current = self.blocks[key] = _Block(len(self.blocks), block)
                start = {"event": "content-block-start", "index": current.index, "content": dict(current.content)}
                yield self._with_id(start)
            delta = current.extend(block)
            if delta is not None:
                yield self._with_id({"event": "content-block-delta", "index": current.index, "delta": delta})

    def add_cumulative(self, text: str) -> Iterator[Data]:
        """The data of the events for the new part of `text`, which is the complete text so far."""
        new = text[len(self.cumulative_text) :] if text.startswith(self.cumulative_text) else text
        self.cumulative_text = text
        if new:
            yield from self.add({"content": new})

    def finish(self) -> Iterator[Data]:
        """The data of the events that end every block and the message."""
        for block in self.blocks.values():
            content = _finished(block.content)
            yield self._with_id({"event": "content-block-finish", "index": block.index, "content": content})
        data: Data = {"event": "message-finish"}
        if self.usage:
            data["usage"] = self.usage
        if self.response_metadata:
            data["metadata"] = self.response_metadata
        yield self._with_id(data)

    def fail(self, message: str) -> Data:
        """The data of the event for a message that will never be complete."""
        return self._with_id({"event": "error", "message": message})

    def _add_metadata(self, message: Mapping[str, Any]) -> None:
        self.response_metadata |= message.get("response_metadata") or {}
        for name, count in (message.get("usage_metadata") or {}).items():
            usage = self.usage = self.usage or {}
            usage[name] = usage.get(name, 0) + count if isinstance(count, int) else count

    def _with_id(self, data: Data) -> Data:
        return data | {"id": self.message_id, "run_id": self.message_id} if self.message_id else data


def text_of(message: Mapping[str, Any]) -> str:
    """The complete text of a message."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text", "")) for block in content or () if isinstance(block, dict))


def _blocks_of(message: Mapping[str, Any]) -> Iterator[tuple[object, Data]]:
    """The blocks of a message or chunk with their keys. Blocks of several chunks that have the same key are one
    block."""
    content, calls = message.get("content"), message.get("tool_call_chunks") or message.get("tool_calls")
    if isinstance(content, str) and not calls:
        if content:
            yield "text", {"type": "text", "text": content}
        return
    is_chunk = message.get("type") == "AIMessageChunk"
    for position, block in enumerate(_normal(message, is_chunk)):
        kind, index = block.get("type"), block.get("index")
        # text without an index continues the previous text block
        key = (kind, index) if index is not None else "text" if kind == "text" else (kind, is_chunk or position)
        yield key, {name: value for name, value in block.items() if name != "index" and value is not None}


def _normal(message: Mapping[str, Any], is_chunk: bool) -> list[Data]:
    """The content blocks in LangChain's standard form; providers write different forms to `content`."""
    if not is_chunk and message.get("type") != "ai":
        content = message.get("content")
        return [block if isinstance(block, dict) else {"type": "text", "text": str(block)} for block in content or ()]
    fields = {name: message[name] for name in _MESSAGE_MEMBERS if message.get(name) is not None}
    fields.setdefault("content", "")
    parsed: AIMessage = AIMessageChunk(**fields) if is_chunk else AIMessage(**fields)
    return [dict(block) for block in parsed.content_blocks]


_MESSAGE_MEMBERS: Final = (
    "content",
    "additional_kwargs",
    "response_metadata",
    "tool_calls",
    "tool_call_chunks",
    "invalid_tool_calls",
    "chunk_position",
)


def _empty_block(block: Data) -> Data:
    """The content of a block before its first delta. A block of a type without deltas is complete at once."""
    kind = block.get("type")
    if kind in _TEXT_BLOCKS:
        name, _ = _TEXT_BLOCKS[kind]
        return block | {name: ""}
    return block | {"args": ""} if kind in _CALL_CHUNKS else dict(block)


def _finished(content: Data) -> Data:
    """A complete block. The arguments of a tool call are parsed."""
    kind = content.get("type")
    if kind not in _CALL_CHUNKS:
        return content
    named = {"id": content.get("id"), "name": content.get("name") or ""}
    try:
        args = orjson.loads(content["args"] or "{}")
    except orjson.JSONDecodeError:
        args = None
    if isinstance(args, dict):
        return {"type": str(kind).removesuffix("_chunk"), **named, "args": args}
    return {"type": "invalid_tool_call", **named, "args": content["args"], "error": "the arguments are not JSON"}


_MESSAGE_TYPES: Final = frozenset({"ai", "human", "system", "tool", "function", "chat", "remove", "AIMessageChunk"})
_PUBLIC_MEMBERS: Final = frozenset(
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
_OMITTED_IF_EMPTY: Final = frozenset(
    {"response_metadata", "usage_metadata", "additional_kwargs", "name", "id", "artifact"}
)


def plain_messages(value: Any) -> Any:
    """`value` with its messages in the form of the protocol: without members that only chunks have, and without empty
    members, except the artifact of a tool message."""
    if isinstance(value, list):
        return [plain_messages(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") in _MESSAGE_TYPES and "content" in value and "additional_kwargs" in value:
        kind = "ai" if value["type"] == "AIMessageChunk" else value["type"]
        omitted = _OMITTED_IF_EMPTY - {"artifact"} if kind == "tool" else _OMITTED_IF_EMPTY
        members = {
            name: member
            for name, member in value.items()
            if name in _PUBLIC_MEMBERS and (member or name not in omitted)
        }
        return members | {"type": kind}
    return {name: plain_messages(member) for name, member in value.items()}
