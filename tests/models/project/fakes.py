"""Chat models that do what a test tells them: they reply, fail, wait, or break off in the middle of a reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import Field


class ProviderError(Exception):
    """As the SDKs of providers raise it: with an HTTP status."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(f"the provider says {status} to sk-secret: {text}")
        self.status_code = status


class Scripted(BaseChatModel):
    """Streams the parts of `script`, and raises those that are exceptions."""

    model: str = "scripted"
    script: list[Any] = Field(default_factory=list)
    pause_s: float = 0
    calls: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=list(tools), tool_choice=tool_choice, **kwargs)

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        chunk: Any = AIMessageChunk(content="")
        for part in self._stream(messages, stop, **kwargs):
            chunk += part.message
        message = AIMessage(content=chunk.content, tool_calls=chunk.tool_calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        await asyncio.sleep(self.pause_s * len(self.script))
        return self._generate(messages, stop, **kwargs)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.calls.append({"messages": messages, "stop": stop, **kwargs})
        for part in self.script:
            if isinstance(part, BaseException):
                raise part
            chunk = part if isinstance(part, AIMessageChunk) else AIMessageChunk(content=part)
            yield ChatGenerationChunk(message=chunk.model_copy())

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for part in self._stream(messages, stop, **kwargs):
            await asyncio.sleep(self.pause_s)
            yield part


works = Scripted(model="works", script=["It ", "works"])
overloaded = Scripted(model="overloaded", script=[ProviderError(529)])
breaks_off = Scripted(model="breaks_off", script=["It ", ProviderError(500)])
rejects = Scripted(model="rejects", script=[ProviderError(400)])


def wrong_settings() -> Scripted:
    """A function that creates none."""
    raise ValueError("no such setting")


def created(**settings: Any) -> Scripted:
    """A function that creates a model."""
    return Scripted(model="created", script=[repr(settings)])
