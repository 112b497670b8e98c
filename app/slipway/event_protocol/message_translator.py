"""Translates the messages in a run's log to events of the `messages` channel.

A log contains a message as chunks, as its complete text so far, or as the complete message. Several messages can be
streamed at the same time, also in one namespace. Only messages of chat models are translated, because messages that a
node returns are part of `values`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from slipway.event_protocol.message_blocks import MessageStream, text_of
from slipway.event_protocol.protocol_event import Namespace

Emit = Callable[[Namespace, dict[str, Any], str | None], None]
"""Emits the data of one event, with its namespace and its node."""

_CONTENT_MEMBERS: Final = (
    "content",
    "tool_call_chunks",
    "additional_kwargs",
    "usage_metadata",
    "response_metadata",
)
"""The members of a chunk that can add content to its message."""


class MessageTranslator:
    """The translator of one run. It stores the messages that are not finished."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._open: dict[tuple[Namespace, str], MessageStream] = {}
        self._metadata: dict[str, Any] = {}

    def on_message(self, namespace: Namespace, data: Any) -> None:
        """Handles an event `messages`: a message or a chunk, and its metadata."""
        message, metadata = data
        if not _is_from_model(metadata) or self._is_closing_chunk_without_message(namespace, message):
            return
        if message.get("type") == "AIMessageChunk":
            stream = self._stream_for(namespace, message, metadata)
            self._emit_all(namespace, stream.add(message), metadata)
            if message.get("chunk_position") == "last":
                self._finish(namespace, stream.message_id)
        else:
            self._add_complete(namespace, message, metadata)

    def on_metadata(self, namespace: Namespace, data: Any) -> None:
        """Handles an event `messages/metadata`: metadata by message id."""
        self._metadata |= {message_id: entry["metadata"] for message_id, entry in data.items()}

    def on_partial(self, namespace: Namespace, data: Any) -> None:
        """Handles an event `messages/partial`: messages with their complete text so far."""
        for message in self._from_models(data):
            content = message.get("content")
            stream = self._stream_for(namespace, message, {})
            if isinstance(content, str):
                self._emit_all(namespace, stream.add_cumulative(content), {})

    def on_complete(self, namespace: Namespace, data: Any) -> None:
        """Handles an event `messages/complete`."""
        for message in self._from_models(data):
            self._add_complete(namespace, message, {})

    def finish_task(self, checkpoint_namespace: str) -> None:
        """Finishes the messages of a task that has ended."""
        for (namespace, message_id), stream in list(self._open.items()):
            if stream.metadata.get("langgraph_checkpoint_ns") == checkpoint_namespace:
                self._finish(namespace, message_id)

    def finish_all(self) -> None:
        for namespace, message_id in list(self._open):
            self._finish(namespace, message_id)

    def fail_all(self, reason: str) -> None:
        """Emits an error for each message that is not finished, because it will never be complete."""
        for (namespace, _), stream in self._open.items():
            self._emit_all(namespace, iter((stream.fail(reason),)), stream.metadata)
        self._open.clear()

    def _is_closing_chunk_without_message(self, namespace: Namespace, message: Any) -> bool:
        """Whether it is the empty chunk with which LangChain ends a message, with an id of no open message. If a model
        sets ids on its chunks, the last chunk has the id of the model call instead of the message's id."""
        is_open = (namespace, message.get("id") or "") in self._open
        return message.get("chunk_position") == "last" and not is_open and not any(map(message.get, _CONTENT_MEMBERS))

    def _open_in_task(self, namespace: Namespace, metadata: Any) -> list[MessageStream]:
        task = metadata.get("langgraph_checkpoint_ns")
        return [
            stream
            for (where, _), stream in self._open.items()
            if where == namespace and stream.metadata.get("langgraph_checkpoint_ns") == task
        ]

    def _add_complete(self, namespace: Namespace, message: Any, metadata: Any) -> None:
        """Adds a complete message, unless it was streamed as chunks before. The chunks may have had another id."""
        if (namespace, message.get("id") or "") not in self._open:
            text = text_of(message)
            same = [stream for stream in self._open_in_task(namespace, metadata) if text and stream.text == text]
            if same:
                self._finish(namespace, same[0].message_id)
                return
        stream = self._stream_for(namespace, message, metadata)
        if not stream.blocks:
            self._emit_all(namespace, stream.add(message), metadata)
        self._finish(namespace, stream.message_id)

    def _stream_for(self, namespace: Namespace, message: Any, metadata: Any) -> MessageStream:
        message_id = message.get("id") or ""
        stream = self._open.get((namespace, message_id))
        if stream is None:
            stream = MessageStream(message_id, metadata)
            self._open[namespace, message_id] = stream
            self._emit_all(namespace, iter((stream.start(message),)), metadata)
        return stream

    def _emit_all(self, namespace: Namespace, events: Iterator[dict[str, Any]], metadata: Any) -> None:
        for data in events:
            self._emit(namespace, data, metadata.get("langgraph_node"))

    def _finish(self, namespace: Namespace, message_id: str) -> None:
        stream = self._open.pop((namespace, message_id))
        self._emit_all(namespace, stream.finish(), stream.metadata)

    def _from_models(self, messages: Any) -> list[Any]:
        return [message for message in messages if _is_from_model(self._metadata.get(message.get("id") or "", {}))]


def _is_from_model(metadata: Mapping[str, Any]) -> bool:
    """Whether a chat model produced the message: then LangChain has added the type of model to the metadata. A message
    that a node returns only has the metadata of the node."""
    return bool(metadata.get("ls_model_type") == "chat" or metadata.get("ls_integration") == "langchain_chat_model")
