"""A server on loopback that speaks as much of the OpenAI and Anthropic APIs as chat models and embeddings need.

The model calls its first tool when a person's text begins with `search` or `remember`, tells what it remembers when
it is asked `what do you know`, and repeats what it got otherwise.
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

from tests.conftest import wait_until

EMBEDDING_DIMS: Final = 1536


@dataclass(frozen=True)
class Turn:
    """What the model says: words, or one call of a tool."""

    text: str
    tool: str | None = None
    arguments: dict[str, Any] | None = None

    @property
    def words(self) -> list[str]:
        """As they are streamed."""
        return re.findall(r"\S+\s*", self.text)


def turn_of(messages: list[dict[str, Any]], system: str, tools: list[str]) -> Turn:
    """The model's next turn."""
    last = messages[-1]
    said = _text(last.get("content"))
    if _is_tool_result(last):
        return Turn(f"The tool says {said}")
    if tools and said.lower().startswith("search"):
        return Turn("", tools[0], {"query": said})
    if tools and said.lower().startswith("remember"):
        return Turn("", tools[0], {"content": said, "context": "said in a test"})
    if said.lower().startswith("what do you know"):
        found = re.search(r"<memories>(.*?)</memories>", system, re.DOTALL)
        return Turn(f"I know {found[1].strip()}" if found else "I know nothing")
    return Turn(f"You said {said}")


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
    turn = turn_of(body["messages"], system, [tool["function"]["name"] for tool in body.get("tools", [])])
    head = {"id": "chat-1", "created": 0, "model": body["model"]}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    reason = "tool_calls" if turn.tool else "stop"
    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": turn.tool, "arguments": json.dumps(turn.arguments)},
    }
    if not body.get("stream"):
        message = {"role": "assistant", "content": turn.text, **({"tool_calls": [call]} if turn.tool else {})}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    def chunks() -> Iterator[str]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"tool_calls": [call]}] if turn.tool else [{"content": word} for word in turn.words]
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
    turn = turn_of(body["messages"], _text(body.get("system")), [tool["name"] for tool in body.get("tools", [])])
    usage = {"input_tokens": 3, "output_tokens": 4}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    reason = "tool_use" if turn.tool else "end_turn"
    use = {"type": "tool_use", "id": "toolu_1", "name": turn.tool, "input": turn.arguments}
    if not body.get("stream"):
        content = [use] if turn.tool else [{"type": "text", "text": turn.text}]
        return JSONResponse({**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage})

    def events() -> Iterator[dict[str, Any]]:
        started = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        yield {"type": "message_start", "message": started}
        if turn.tool:
            yield {"type": "content_block_start", "index": 0, "content_block": {**use, "input": {}}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(turn.arguments)}]
        else:
            yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            deltas = [{"type": "text_delta", "text": word} for word in turn.words]
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
    """`POST /v1/embeddings`: texts that share words are near one another."""
    body = await request.json()
    given = body["input"]
    texts = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    texts = [text if isinstance(text, str) else bytes(text).decode(errors="replace") for text in texts]
    data = [{"object": "embedding", "index": place, "embedding": embedded(text)} for place, text in enumerate(texts)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})


def embedded(text: str) -> list[float]:
    """One dimension for each word."""
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
async def serving(port: int) -> AsyncIterator[dict[str, str]]:
    """The environment that leads the providers' packages here, until the block is left."""
    server = uvicorn.Server(uvicorn.Config(APP, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    serve = asyncio.create_task(server.serve())
    try:
        await wait_until(lambda: server.started, beside=serve)
        yield {
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
            "ANTHROPIC_API_KEY": "none",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_API_KEY": "none",
            "TAVILY_API_KEY": "none",
        }
    finally:
        server.should_exit = True
        await serve
