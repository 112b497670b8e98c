"""A run's log as the event protocol tells it: a pure translation, so that every reader gets the same events.

Nothing of the protocol is stored. Whoever reads a log from its start and translates it entry by entry makes the same
events with the same numbers, on every connection and after every crash, for the log is only ever appended to. A
number is `turn << ORDINAL_BITS` and the event's place in its run; a run's turn is its ordinal in the thread, given by
the script that starts it or cancels it before it ever started. So numbers grow along the thread, and stay when
earlier logs are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog
from langgraph.checkpoint.serde.types import INTERRUPT

from slipway.event_protocol.message_blocks import MessageStream, plain_messages, text_of
from slipway.runs.event_log import Event
from slipway.runs.record import Phase
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block

log = structlog.get_logger(__name__)

ORDINAL_BITS: Final = 30

MODES: Final = ("values", "updates", "messages-tuple", "tasks", "checkpoints/brief", "custom", "tools")
"""What a run streams that was started by the event protocol."""

_NAMED: Final = "custom:"
_BROUGHT: Final = ("content", "tool_call_chunks", "additional_kwargs", "usage_metadata", "response_metadata")
"""What a chunk can bring to its message."""
_REFUSAL: Final = ("reason", "interrupt_ids", "pending_ids")
"""What an error has beside itself when it refuses an answer."""

Namespace = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run whose turn has come. `started_ms` is None when it was cancelled before it ever started; `answers` are the
    interrupts that it answers."""

    number: int
    run_id: str
    graph_id: str
    started_ms: int | None
    answers: Sequence[str] = ()
    modes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProtocolEvent:
    """One event. `timestamp` is in ms; `node` is told where one made it."""

    seq: int
    event_id: str
    method: str
    namespace: Namespace
    timestamp: int
    data: dict[str, Any]
    node: str | None = None

    @property
    def turn(self) -> int:
        """Of its run."""
        return self.seq >> ORDINAL_BITS

    def encoded(self) -> bytes:
        """The JSON of it."""
        params: dict[str, Any] = {"namespace": self.namespace, "timestamp": self.timestamp, "data": self.data}
        if self.node is not None:
            params["node"] = self.node
        return dumps(
            {"type": "event", "event_id": self.event_id, "seq": self.seq, "method": self.method, "params": params}
        )

    def block(self) -> bytes:
        """As a server-sent event."""
        return encode_block(self.method, self.encoded(), str(self.seq))


def base_number(turn: int) -> int:
    """The number before the first event of a turn: all earlier turns lie below it."""
    return turn << ORDINAL_BITS


@dataclass(slots=True)
class _Told:
    """What has been told of a run so far."""

    begun: bool = False
    open_subgraphs: dict[Namespace, None] = field(default_factory=dict)
    subgraphs: set[Namespace] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    waits: bool = False
    error: str | None = None
    refusal: dict[str, Any] = field(default_factory=dict)


class RunTranslator:
    """Give it the entries of one run's log in order, from the first; it gives the events of each."""

    def __init__(self, turn: StartedRun) -> None:
        self._turn, self._seq, self._told = turn, base_number(turn.number), _Told()
        self._now = turn.started_ms or 0
        self._speeches: dict[tuple[Namespace, str], MessageStream] = {}
        self._abouts: dict[str, Any] = {}
        self._held: dict[Namespace, Any] = {}
        self._running: dict[Namespace, dict[str, str]] = {}
        self._events: list[ProtocolEvent] = []
        self._handlers: dict[str, Callable[[Namespace, Any], None]] = {
            "values": self._values,
            "updates": self._updates,
            "messages": self._message,
            "messages/metadata": self._message_metadata,
            "messages/partial": self._partial,
            "messages/complete": self._complete,
            "tasks": self._task,
            "checkpoints": self._checkpoint,
            "checkpoints/brief": self._brief_checkpoint,
            "custom": self._custom,
            "tools": self._tool,
            "lifecycle": self._inner_lifecycle,
        }

    def take(self, entry: Event) -> list[ProtocolEvent]:
        """The events of the next entry."""
        self._now = max(self._now, entry.place[0])
        name, *namespace = entry.name.split("|")
        if name == "metadata":
            self._begin()
        elif name == "error":
            self._fail(orjson.loads(entry.data))
        elif entry.last:
            end = orjson.loads(entry.data)
            self._end(end["status"], entry.result, waits=end.get("phase") == Phase.WAITING_FOR_APPROVAL)
        elif name.startswith(_NAMED):
            self._tell("custom", {"name": name.removeprefix(_NAMED), "payload": orjson.loads(entry.data)})
        elif name in self._handlers:
            self._handle(name, tuple(namespace), orjson.loads(entry.data))
        events, self._events = self._events, []
        return events

    def _handle(self, name: str, namespace: Namespace, data: Any) -> None:
        if not name.startswith("checkpoints"):
            self._release(namespace)
        for depth in range(1, len(namespace) + 1):
            self._enter(namespace[:depth])
        try:
            self._handlers[name](namespace, data)
        except (AttributeError, LookupError, TypeError, ValueError):  # a graph may stream what no client expects
            log.warning("protocol.untranslated", run=self._turn.run_id, entry=name, exc_info=True)

    def _tell(
        self,
        method: str,
        data: dict[str, Any],
        namespace: Namespace = (),
        *,
        node: str | None = None,
        event_id: str | None = None,
        at_ms: int | None = None,
    ) -> None:
        self._seq += 1
        place = self._seq - base_number(self._turn.number)
        ident = event_id or f"{self._turn.run_id}-{place}"
        self._events.append(ProtocolEvent(self._seq, ident, method, namespace, at_ms or self._now, data, node))

    # the run's own lifecycle

    def _lifecycle(self, event: str, at_ms: int | None = None, **more: Any) -> None:
        data = {"event": event, "graph_name": self._turn.graph_id, **more}
        self._tell("lifecycle", data, event_id=f"synth:{self._turn.run_id}:lc||{event}", at_ms=at_ms)

    def _begin(self) -> None:
        """The first attempt begins the run; a later one does again what the last one left half-told."""
        if self._told.begun:
            self._running.clear()
            self._break_off("the attempt that made this message ended; its node runs again")
            return
        self._told.begun = True
        if self._turn.started_ms is None:
            return
        self._now = self._turn.started_ms
        self._lifecycle("running")
        if self._turn.answers:
            ident = f"synth:{self._turn.run_id}:input||answered"
            self._tell("input.answered", {"interrupt_ids": list(self._turn.answers)}, event_id=ident)

    def _fail(self, error: dict[str, Any]) -> None:
        self._told.error = _message_of(error)
        self._told.refusal = {name: error[name] for name in _REFUSAL if name in error}

    def _end(self, status: str, result: bytes | None, *, waits: bool) -> None:
        for namespace in list(self._held):
            self._release(namespace)
        outcome = orjson.loads(result) if result else {}
        asked = outcome.get(INTERRUPT) if isinstance(outcome, dict) else None
        if isinstance(asked, list):
            self._ask((), asked)
        self._told.waits = self._told.waits or waits
        ends_well = status == "success"
        for namespace, ident in list(self._speeches):
            if ends_well:
                self._finish(namespace, ident)
        self._break_off("the run ended before this message did")
        word = ("interrupted" if self._told.waits else "completed") if ends_well else "failed"
        self._close_subgraphs(word if status != "interrupted" else "interrupted")
        if status == "interrupted":
            self._lifecycle("interrupted")
            self._lifecycle("failed", error="cancelled")
        elif word == "failed":
            self._lifecycle("failed", error=self._told.error or status, **self._told.refusal)
        else:
            self._lifecycle(word)
            if word == "interrupted" and not self._told.asked:
                self._lifecycle("completed")  # a breakpoint asks nothing, and some clients wait for one or the other

    # subgraphs

    def _enter(self, namespace: Namespace) -> None:
        if namespace in self._told.subgraphs:
            return
        self._told.subgraphs.add(namespace)
        self._told.open_subgraphs[namespace] = None
        name, _, task_id = namespace[-1].partition(":")
        data: dict[str, Any] = {
            "event": "started",
            "namespace": [*namespace],
            "graph_name": name,
            "trigger_call_id": task_id,
        }
        self._tell("lifecycle", {key: value for key, value in data.items() if value}, namespace)

    def _leave(self, namespace: Namespace, event: str, error: str | None = None) -> None:
        if namespace in self._told.open_subgraphs:
            del self._told.open_subgraphs[namespace]
            data = {"event": event, "graph_name": namespace[-1].partition(":")[0]}
            self._tell("lifecycle", data | ({"error": error} if error else {}), namespace)

    def _close_subgraphs(self, event: str) -> None:
        for namespace in reversed(list(self._told.open_subgraphs)):
            self._leave(namespace, event)

    # what graphs stream

    def _values(self, namespace: Namespace, data: Any) -> None:
        """Held until the checkpoint of it has come, which clients want to hear of first."""
        self._held[namespace] = data
        if not self._turn.modes & {"checkpoints", "checkpoints/brief"}:
            self._release(namespace)

    def _release(self, namespace: Namespace) -> None:
        if namespace not in self._held:
            return
        data = self._held.pop(namespace)
        asked = None
        if isinstance(data, dict):
            asked = data.get(INTERRUPT)
            data = {name: value for name, value in data.items() if name != INTERRUPT}
        self._tell("values", plain_messages(data), namespace)
        if isinstance(asked, list):
            self._ask(namespace, asked)

    def _updates(self, namespace: Namespace, data: Any) -> None:
        for node, update in data.items():
            if node == INTERRUPT:  # empty at a breakpoint; whether the run waits there is known when it ends
                self._ask(namespace, update)
            else:
                self._tell("updates", plain_messages(update), namespace, node=node)

    def _ask(self, namespace: Namespace, interrupts: Sequence[Any]) -> None:
        """Each interrupt once, where it is first seen: that is where it was raised."""
        for item in interrupts:
            self._told.waits = True
            if item["id"] in self._told.asked:
                continue
            self._told.asked.add(item["id"])
            ident = f"synth:{self._turn.run_id}:input|{'|'.join(namespace)}|{item['id']}"
            data = {"interrupt_id": item["id"], "payload": item["value"], "value": item["value"]}
            self._tell("input.requested", data, namespace, event_id=ident)

    def _checkpoint(self, namespace: Namespace, data: Any) -> None:
        place = (data.get("config") or {}).get("configurable") or {}
        parent = (data.get("parent_config") or {}).get("configurable") or {}
        metadata = data.get("metadata") or {}
        shown = {"id": place.get("checkpoint_id"), "step": metadata.get("step"), "source": metadata.get("source")}
        if parent.get("checkpoint_id"):
            shown["parent_id"] = parent["checkpoint_id"]
        self._brief_checkpoint(namespace, shown)

    def _brief_checkpoint(self, namespace: Namespace, data: Any) -> None:
        self._tell("checkpoints", data, namespace)
        self._release(namespace)

    def _task(self, namespace: Namespace, data: Any) -> None:
        self._tell("tasks", plain_messages(data), namespace)
        running = self._running.setdefault(namespace, {})
        if "result" not in data:
            running[data["id"]] = data["name"]
            return
        running.pop(data["id"], None)
        child = (*namespace, f"{data.get('name')}:{data.get('id')}")
        self._end_task("|".join(child))
        if data.get("interrupts"):
            self._leave(child, "interrupted")
        elif data.get("error"):
            self._leave(child, "failed", _message_of(data["error"]))
        else:
            self._leave(child, "completed")

    def _custom(self, namespace: Namespace, data: Any) -> None:
        """What a node wrote, as it is: clients find a channel by the `name` in it. Data is always an object here."""
        self._tell("custom", data if isinstance(data, dict) else {"payload": data}, namespace)

    def _tool(self, namespace: Namespace, data: Any) -> None:
        shown = dict(_native(data))
        if shown.get("event") == "tool-output-delta" and not isinstance(shown.get("delta"), str):
            shown["delta"] = dumps(shown.get("delta")).decode()
        nodes = set(self._running.get(namespace, {}).values())
        node = nodes.pop() if len(nodes) == 1 else None  # LangGraph does not say; of several it may be any
        self._tell("tools", shown, namespace, node=node)

    def _inner_lifecycle(self, namespace: Namespace, data: Any) -> None:
        """A run that streams no tasks tells so how the graphs inside it end; that they begin, their namespace did."""
        if data["event"] != "started":
            self._leave(namespace, data["event"], _message_of(data["error"]) if data.get("error") else None)

    # messages

    def _message(self, namespace: Namespace, data: Any) -> None:
        message, about = data
        if not _of_a_model(about) or self._closes_nothing(namespace, message):
            return
        if message.get("type") == "AIMessageChunk":
            speech = self._speech(namespace, message, about)
            self._say(namespace, speech.add(message), about)
            if message.get("chunk_position") == "last":
                self._finish(namespace, speech.ident)
        else:
            self._whole(namespace, message, about)

    def _closes_nothing(self, namespace: Namespace, message: Any) -> bool:
        """Whether it is the empty chunk with which LangChain closes a message, under another id than the message's own:
        where the model gives its chunks an id, that chunk has the id of the call."""
        known = (namespace, message.get("id") or "") in self._speeches
        return message.get("chunk_position") == "last" and not known and not any(map(message.get, _BROUGHT))

    def _open_in(self, namespace: Namespace, about: Any) -> list[MessageStream]:
        task = about.get("langgraph_checkpoint_ns")
        return [
            speech
            for (where, _), speech in self._speeches.items()
            if where == namespace and speech.about.get("langgraph_checkpoint_ns") == task
        ]

    def _whole(self, namespace: Namespace, message: Any, about: Any) -> None:
        """A message that was streamed before is not told again, though its chunks may have had another id."""
        if (namespace, message.get("id") or "") not in self._speeches:
            text = text_of(message)
            same = [speech for speech in self._open_in(namespace, about) if text and speech.text == text]
            if same:
                self._finish(namespace, same[0].ident)
                return
        speech = self._speech(namespace, message, about)
        if not speech.blocks:
            self._say(namespace, speech.add(message), about)
        self._finish(namespace, speech.ident)

    def _speech(self, namespace: Namespace, message: Any, about: Any) -> MessageStream:
        ident = message.get("id") or ""
        speech = self._speeches.get((namespace, ident))
        if speech is None:
            speech = MessageStream(ident, about)
            self._speeches[namespace, ident] = speech
            self._say(namespace, iter((speech.start(message),)), about)
        return speech

    def _say(self, namespace: Namespace, events: Iterator[dict[str, Any]], about: Any) -> None:
        for data in events:
            self._tell("messages", data, namespace, node=about.get("langgraph_node"))

    def _finish(self, namespace: Namespace, ident: str) -> None:
        speech = self._speeches.pop((namespace, ident))
        self._say(namespace, speech.finish(), speech.about)

    def _end_task(self, task: str) -> None:
        """A node has ended: so have the messages that it made."""
        for (namespace, ident), speech in list(self._speeches.items()):
            if speech.about.get("langgraph_checkpoint_ns") == task:
                self._finish(namespace, ident)

    def _break_off(self, why: str) -> None:
        for (namespace, _), speech in self._speeches.items():
            self._say(namespace, iter((speech.fail(why),)), speech.about)
        self._speeches.clear()

    def _message_metadata(self, namespace: Namespace, data: Any) -> None:
        self._abouts |= {ident: told["metadata"] for ident, told in data.items()}

    def _partial(self, namespace: Namespace, data: Any) -> None:
        for message in self._of_models(data):
            content = message.get("content")
            speech = self._speech(namespace, message, {})
            if isinstance(content, str):
                self._say(namespace, speech.so_far(content), {})

    def _complete(self, namespace: Namespace, data: Any) -> None:
        for message in self._of_models(data):
            self._whole(namespace, message, {})

    def _of_models(self, messages: Any) -> list[Any]:
        return [message for message in messages if _of_a_model(self._abouts.get(message.get("id") or "", {}))]


_TOOL_WORDS: Final = {
    "on_tool_start": ("tool-started", "input", "input"),
    "on_tool_event": ("tool-output-delta", "data", "delta"),
    "on_tool_end": ("tool-finished", "output", "output"),
    "on_tool_error": ("tool-error", "error", "message"),
}
"""What a run's log says of a tool -> what the event protocol says, and how each names what it holds."""


def _native(data: dict[str, Any]) -> dict[str, Any]:
    if data["event"] not in _TOOL_WORDS:  # a log of an earlier version has the protocol's own words
        return data
    word, theirs, ours = _TOOL_WORDS[data["event"]]
    named = {"tool_name": data["name"]} if word == "tool-started" else {}
    return {"event": word, "tool_call_id": data["toolCallId"], **named, ours: data.get(theirs)}


def _message_of(error: Any) -> str:
    """The message of an error; the name of its class where it has none."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("error"))
    return str(error)


def _of_a_model(about: Mapping[str, Any]) -> bool:
    """Whether a chat model made the message that `about` was streamed beside: LangChain names the kind of model in the
    metadata of its call. Messages that nodes return have the metadata of the node."""
    return bool(about.get("ls_model_type") == "chat" or about.get("ls_integration") == "langchain_chat_model")
