"""A server on loopback with the parts of the OpenAI and Anthropic APIs that chat models and embeddings use.

The model calls its first tool for a text that starts with `search` or `remember`, returns the memories of its system
prompt for `what do you know`, and repeats all other texts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.waiting import wait_until

EMBEDDING_DIMS: Final = 1536


@dataclass(frozen=True)
class ModelReply:
    """A text, or one tool call."""

    text: str
    tool: str | None = None
    arguments: dict[str, Any] | None = None

    @property
    def words(self) -> list[str]:
        """The parts in which the text is streamed."""
        return re.findall(r"\S+\s*", self.text)


def reply_to(messages: list[dict[str, Any]], system: str, tools: list[str]) -> ModelReply:
    """The reply of the model to these messages."""
    last = messages[-1]
    text = _text(last.get("content"))
    if _is_tool_result(last):
        return ModelReply(f"The tool says {text}")
    if tools and text.lower().startswith("search"):
        return ModelReply("", tools[0], {"query": text})
    if tools and text.lower().startswith("remember"):
        return ModelReply("", tools[0], {"content": text, "context": "said in a test"})
    if text.lower().startswith("what do you know"):
        memories = re.search(r"<memories>(.*?)</memories>", system, re.DOTALL)
        return ModelReply(f"I know {memories[1].strip()}" if memories else "I know nothing")
    return ModelReply(f"You said {text}")


def _is_tool_result(message: dict[str, Any]) -> bool:
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    return message.get("role") == "tool" or any(block.get("type") == "tool_result" for block in blocks)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [block.get("text") or _text(block.get("content")) for block in content or [] if isinstance(block, dict)]
    return " ".join(parts)


async def openai_chat(request: Request) -> Response:
    """`POST /v1/chat/completions`."""
    body = await request.json()
    system = " ".join(_text(message["content"]) for message in body["messages"] if message["role"] == "system")
    reply = reply_to(body["messages"], system, [tool["function"]["name"] for tool in body.get("tools", [])])
    head = {"id": "chat-1", "created": 0, "model": body["model"]}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    reason = "tool_calls" if reply.tool else "stop"
    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": reply.tool, "arguments": json.dumps(reply.arguments)},
    }
    if not body.get("stream"):
        message = {"role": "assistant", "content": reply.text, **({"tool_calls": [call]} if reply.tool else {})}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    def chunks() -> Iterator[str]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"tool_calls": [call]}] if reply.tool else [{"content": word} for word in reply.words]
        for delta in deltas:
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield _line({**head, "object": "chat.completion.chunk", "choices": [choice]})
        end = {"index": 0, "delta": {}, "finish_reason": reason}
        yield _line({**head, "object": "chat.completion.chunk", "choices": [end]})
        yield _line({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def anthropic_messages(request: Request) -> Response:
    """`POST /v1/messages`."""
    body = await request.json()
    reply = reply_to(body["messages"], _text(body.get("system")), [tool["name"] for tool in body.get("tools", [])])
    usage = {"input_tokens": 3, "output_tokens": 4}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    reason = "tool_use" if reply.tool else "end_turn"
    use = {"type": "tool_use", "id": "toolu_1", "name": reply.tool, "input": reply.arguments}
    if not body.get("stream"):
        content = [use] if reply.tool else [{"type": "text", "text": reply.text}]
        return JSONResponse({**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage})

    def events() -> Iterator[dict[str, Any]]:
        started = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        yield {"type": "message_start", "message": started}
        if reply.tool:
            yield {"type": "content_block_start", "index": 0, "content_block": {**use, "input": {}}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}]
        else:
            yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            deltas = [{"type": "text_delta", "text": word} for word in reply.words]
        for delta in deltas:
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        ended = {"stop_reason": reason, "stop_sequence": None}
        yield {"type": "message_delta", "delta": ended, "usage": usage}
        yield {"type": "message_stop"}

    return StreamingResponse(
        (f"event: {event['type']}\n{_line(event)}" for event in events()), media_type="text/event-stream"
    )


def _line(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


async def embeddings(request: Request) -> Response:
    """`POST /v1/embeddings`: the more words two texts share, the more similar are their vectors."""
    body = await request.json()
    value = body["input"]
    texts = [value] if isinstance(value, str) or (value and isinstance(value[0], int)) else value
    texts = [text if isinstance(text, str) else bytes(text).decode(errors="replace") for text in texts]
    data = [{"object": "embedding", "index": index, "embedding": embed(text)} for index, text in enumerate(texts)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})


def embed(text: str) -> list[float]:
    """A vector of length 1 with one dimension for each word."""
    vector = [0.0] * EMBEDDING_DIMS
    for word in re.findall(r"\w+", text.lower()):
        vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % EMBEDDING_DIMS] += 1.0
    length = sum(part * part for part in vector) ** 0.5 or 1.0
    return [part / length for part in vector]


APP: Final = Starlette(
    routes=[
        Route("/v1/chat/completions", openai_chat, methods=["POST"]),
        Route("/v1/messages", anthropic_messages, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
    ]
)


@contextlib.asynccontextmanager
async def fake_models(port: int) -> AsyncIterator[dict[str, str]]:
    """Serves until the block ends. Yields the environment variables that point the providers' packages here."""
    server = uvicorn.Server(uvicorn.Config(APP, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    try:
        await wait_until(lambda: server.started, beside=task)
        yield {
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
            "ANTHROPIC_API_KEY": "none",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_API_KEY": "none",
            "TAVILY_API_KEY": "none",
        }
    finally:
        server.should_exit = True
        await task
