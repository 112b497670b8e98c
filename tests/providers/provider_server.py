"""A server on loopback that speaks the formats of OpenAI and Anthropic: chat completions, responses and messages.

A test says what each request gets, in order; the last entry stays. The usage is the same in all three formats.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.waiting import wait_until

INPUT_TOKENS: Final = 120
CACHED_TOKENS: Final = 100
"""Of the input, read from the cache of the provider."""
WRITTEN_TOKENS: Final = 15
"""Of the input, written to the cache of the provider."""
OUTPUT_TOKENS: Final = 30
REASONING_TOKENS: Final = 20
"""Of the output."""

_OPENAI_ERRORS: Final = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}
_ANTHROPIC_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class Reply:
    """A reply in words, or a call of a tool, if the request has tools."""

    words: Sequence[str] = ("It ", "works")
    tool: dict[str, Any] | None = None
    """The arguments of a call of the first tool of the request."""
    reports: bool = True
    """Whether it has the usage, where the format permits to leave it out."""
    service_tier: str = "default"
    breaks_off: Literal["", "connection", "error"] = ""
    """How a stream ends early: its connection is closed, or it has an event that says that the provider is
    overloaded."""
    after: int = 1
    """After so many words."""

    @property
    def sent(self) -> Sequence[str]:
        """The words that are sent."""
        return self.words[: self.after] if self.breaks_off else self.words


@dataclass(frozen=True)
class Refusal:
    """An HTTP error. Its text repeats the key, as a careless provider does."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "no"
    code: str = ""
    """That of OpenAI, if it is not the usual one for the status."""


@dataclass(frozen=True)
class Silence:
    """Nothing is sent until the client goes away."""


Behaviour = Reply | Refusal | Silence


@dataclass(frozen=True)
class Received:
    """A request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Provider:
    """One provider of a test, with its own address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.plan: list[Behaviour] = [Reply()]
        self.requests: list[Received] = []

    @property
    def last(self) -> dict[str, Any]:
        """The body of the last request."""
        return self.requests[-1].body

    def next_behaviour(self) -> Behaviour:
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]


class ProviderServer:
    """The server, with as many providers as tests need."""

    def __init__(self) -> None:
        self.address = ""
        self._providers: list[Provider] = []

    def provider(self) -> Provider:
        """A new provider. The packages keep an HTTP client for each address, so each test has its own."""
        number = len(self._providers)
        self._providers.append(Provider(f"{self.address}/{number}"))
        return self._providers[-1]

    async def answer(self, request: Request) -> Response:
        provider = self._providers[request.path_params["number"]]
        body = await request.json()
        path = request.path_params["path"]
        provider.requests.append(Received(path, dict(request.headers), body))
        behaviour = provider.next_behaviour()
        if isinstance(behaviour, Silence):
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response()
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "")
        if isinstance(behaviour, Refusal):
            response: Response = _refusal(behaviour, path, key)
        else:
            response = _FORMATS[path](body, behaviour)
        response.headers["connection"] = "close"  # the client would keep it open longer than the event loop of a test
        return response


def _refusal(refusal: Refusal, path: str, key: str) -> Response:
    text = f"{refusal.message}: {key}"
    if path == "v1/messages":
        kind = _ANTHROPIC_ERRORS.get(refusal.status, "api_error")
        content: Any = {"type": "error", "error": {"type": kind, "message": text}}
    else:
        content = {
            "error": {"message": text, "type": "error", "code": refusal.code or _OPENAI_ERRORS.get(refusal.status)}
        }
    return JSONResponse(content, refusal.status, headers=refusal.headers)


def _stream(events: Iterator[str], reply: Reply) -> Response:
    async def parts() -> AsyncIterator[str]:
        for event in events:
            yield event
            await asyncio.sleep(0)
        if reply.breaks_off == "connection":
            raise ConnectionAbortedError("as the test wants it")

    return StreamingResponse(parts(), media_type="text/event-stream")


def _data(value: Any, event: str | None = None) -> str:
    return (f"event: {event}\n" if event else "") + f"data: {json.dumps(value)}\n\n"


# OpenAI, chat completions

_CHAT_USAGE: Final = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS, "audio_tokens": 0},
}


def _chat_completions(body: dict[str, Any], reply: Reply) -> Response:
    head = {"id": "chatcmpl-1", "created": 0, "model": body["model"], "service_tier": reply.service_tier}
    call = None
    if reply.tool is not None and body.get("tools"):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps(reply.tool)}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    reason = "stop" if call is None else "tool_calls"
    if not body.get("stream"):
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(reply.words) if call is None else None,
            "refusal": None,
        }
        message = {**message, **({} if call is None else {"tool_calls": [call]})}
        choices = [{"index": index, "message": message, "finish_reason": reason} for index in range(body.get("n") or 1)]
        usage = {"usage": _CHAT_USAGE} if reply.reports else {}
        return JSONResponse({**head, "object": "chat.completion", "choices": choices, **usage})
    return _stream(_chat_chunks(head | {"object": "chat.completion.chunk"}, body, reply, call, reason), reply)


def _chat_chunks(head: Any, body: dict[str, Any], reply: Reply, call: Any, reason: str) -> Iterator[str]:
    reports = reply.reports and (body.get("stream_options") or {}).get("include_usage")
    without = {"usage": None} if reports else {}
    deltas: list[Any] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": word} for word in reply.sent] if call is None else [{"tool_calls": [call]}]
    for delta in deltas:
        yield _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **without})
    if reply.breaks_off == "error":
        yield _data({"error": {"message": "overloaded", "type": "server_error", "code": "server_error"}})
    if reply.breaks_off:
        return
    yield _data({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **without})
    if reports:
        yield _data({**head, "choices": [], "usage": _CHAT_USAGE})
    yield "data: [DONE]\n\n"


# OpenAI, responses

_RESPONSES_USAGE: Final = {
    "input_tokens": INPUT_TOKENS,
    "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
    "output_tokens": OUTPUT_TOKENS,
    "output_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def _responses(body: dict[str, Any], reply: Reply) -> Response:
    text = "".join(reply.words)
    if reply.tool is not None and body.get("tools"):
        item: dict[str, Any] = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": body["tools"][0]["name"],
            "arguments": json.dumps(reply.tool),
            "status": "completed",
        }
    else:
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    head = {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": body["model"],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "text": body.get("text", {"format": {"type": "text"}}),
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }
    usage = {"usage": _RESPONSES_USAGE} if reply.reports else {"usage": None}
    done = {**head, "status": "completed", "output": [item], **usage}
    if not body.get("stream"):
        return JSONResponse(done)
    started = {**head, "status": "in_progress", "output": [], "usage": None}
    return _stream(_responses_events(started, item, done, reply), reply)


def _responses_events(started: Any, item: dict[str, Any], done: Any, reply: Reply) -> Iterator[str]:
    events: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    where = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "function_call":
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"arguments": ""}},
            {"type": "response.function_call_arguments.delta", "delta": item["arguments"], **where},
            {"type": "response.function_call_arguments.done", "arguments": item["arguments"], **where},
        ]
    else:
        part = where | {"content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        events += [
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"content": []}},
            {"type": "response.content_part.added", "part": empty, **part},
            *({"type": "response.output_text.delta", "delta": word, "logprobs": [], **part} for word in reply.sent),
        ]
        if not reply.breaks_off:
            text = "".join(reply.words)
            events.append({"type": "response.output_text.done", "text": text, "logprobs": [], **part})
    if reply.breaks_off == "error":
        error = {"code": "server_error", "message": "overloaded"}
        events.append({"type": "response.failed", "response": started | {"status": "failed", "error": error}})
    if not reply.breaks_off:
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
        events.append({"type": "response.completed", "response": done})
    for number, event in enumerate(events):
        yield _data(event | {"sequence_number": number}, event["type"])


# Anthropic, messages

_MESSAGES_USAGE: Final = {
    "input_tokens": INPUT_TOKENS - CACHED_TOKENS - WRITTEN_TOKENS,
    "cache_read_input_tokens": CACHED_TOKENS,
    "cache_creation_input_tokens": WRITTEN_TOKENS,
    "cache_creation": {"ephemeral_5m_input_tokens": WRITTEN_TOKENS, "ephemeral_1h_input_tokens": 0},
    "output_tokens": OUTPUT_TOKENS,
}


def _messages(body: dict[str, Any], reply: Reply) -> Response:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    block: dict[str, Any] = {"type": "text", "text": "".join(reply.words)}
    if reply.tool is not None and body.get("tools"):
        block = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": reply.tool}
    reason = "tool_use" if block["type"] == "tool_use" else "end_turn"
    if not body.get("stream"):
        return JSONResponse({**head, "content": [block], "stop_reason": reason, "usage": _MESSAGES_USAGE})
    return _stream(_messages_events(head, block, reason, reply), reply)


def _messages_events(head: Any, block: dict[str, Any], reason: str, reply: Reply) -> Iterator[str]:
    before = {**_MESSAGES_USAGE, "output_tokens": 1}
    started = {**head, "content": [], "stop_reason": None, "usage": before}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": started}]
    if block["type"] == "tool_use":
        arguments = json.dumps(block["input"])
        empty, deltas = block | {"input": {}}, [{"type": "input_json_delta", "partial_json": arguments}]
    else:
        empty, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in reply.sent]
    events.append({"type": "content_block_start", "index": 0, "content_block": empty})
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    if reply.breaks_off == "error":
        events.append({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    if not reply.breaks_off:
        # an endpoint that only imitates Anthropic says here what was generated, and nothing of the input
        usage = _MESSAGES_USAGE if reply.reports else {"output_tokens": OUTPUT_TOKENS}
        ended = {"stop_reason": reason, "stop_sequence": None}
        events.append({"type": "content_block_stop", "index": 0})
        events.append({"type": "message_delta", "delta": ended, "usage": usage})
        events.append({"type": "message_stop"})
    for event in events:
        yield _data(event, event["type"])


_FORMATS: Final = {"chat/completions": _chat_completions, "responses": _responses, "v1/messages": _messages}


@contextmanager
def provider_server() -> Iterator[ProviderServer]:
    """The server, in a thread of its own, until the block ends."""
    providers = ProviderServer()
    app = Starlette(routes=[Route("/{number:int}/{path:path}", providers.answer, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    providers.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    asyncio.run(wait_until(lambda: server.started or not thread.is_alive()))
    try:
        yield providers
    finally:
        server.should_exit = True
        thread.join()
