"""The built-in chat model. It needs no network and no key. Equal messages get equal replies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from examples.quick_answer.graph import compute, in_short
from examples.reading.document_search import search_documents
from examples.reading.key_sentences import key_sentences
from examples.reading.library import library_dir, read_library

_TOKEN: Final = re.compile(r"\s*\S+|\s+$")
_GREETING: Final = re.compile(
    r"^(?:hi|hello|hey|good (?:morning|day|evening|afternoon)|hallo|guten tag|bonjour|hola|ciao)\b(.{0,30})$", re.I
)
_THANKS: Final = re.compile(r"^(?:thanks?|thank you|danke|merci|gracias)\b.{0,40}$", re.I)
_NAME: Final = re.compile(r"\b(?:my name is|i am called|ich heiße|je m'appelle|me llamo) ([^\W\d_][\w'-]{1,30})", re.I)
_MY_NAME: Final = re.compile(r"\b(?:what(?:'s|’s| is) my name|who am i|do you (?:know|remember) my name)\b", re.I)
_CAPABLE: Final = re.compile(r"\b(?:what can you do|who are you|help)\b", re.I)
_LONG_WORDS: Final = 60
_CAN: Final = (
    "I can search the document library, calculate, convert units, answer questions about dates, "
    "and summarize a text that you paste."
)


class BuiltinChatModel(BaseChatModel):
    """Greets, calculates, searches the library, summarizes pasted text, and otherwise says what it can do.

    `usage_metadata` counts words and punctuation marks as tokens, which approximates what a provider would count.
    """

    @property
    def _llm_type(self) -> str:
        return "slipway-builtin"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(messages, _cut(reply(messages), stop))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(messages, _cut(await asyncio.to_thread(reply, messages), stop))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _chunks(messages, _cut(reply(messages), stop)):
            if run_manager:
                run_manager.on_llm_new_token(str(chunk.text), chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(messages, _cut(await asyncio.to_thread(reply, messages), stop)):
            if run_manager:
                await run_manager.on_llm_new_token(str(chunk.text), chunk=chunk)
            yield chunk
            await asyncio.sleep(0)  # the server sends each token before the next one exists


def reply(messages: Sequence[BaseMessage]) -> str:
    """The next reply of the model. Blocks, because it reads the library."""
    user_texts = [str(message.text).strip() for message in messages if isinstance(message, HumanMessage)]
    last = user_texts[-1] if user_texts else ""
    if not last:
        return f"You have not written anything yet. {_CAN}"
    return (
        _small_talk(last, user_texts)
        or compute(last, datetime.now(UTC).date())[0]
        or _summary(last)
        or _from_library(last)
        or _fallback(last)
    )


def _small_talk(last: str, user_texts: Sequence[str]) -> str:
    name = next((match[1] for text in reversed(user_texts) if (match := _NAME.search(text))), None)
    if _MY_NAME.search(last):
        return f"You told me that your name is {name}." if name else "You have not told me your name yet."
    if _NAME.search(last) and len(last.split()) < 12:
        return f"Nice to meet you, {name}. What would you like to know?"
    if _GREETING.match(last):
        return f"Hello{f', {name}' if name else ''}! {_CAN}"
    if _THANKS.match(last):
        return "You are welcome."
    return (
        f"I am the built-in model of this server, and I need no key. {_CAN}"
        if _CAPABLE.search(last) and len(last.split()) < 8
        else ""
    )


def _summary(text: str) -> str:
    if len(text.split()) < _LONG_WORDS:
        return ""
    points = key_sentences("text", "", text, 3)
    return (
        f"Your text has {len(text.split())} words. Its main points:\n\n"
        + "\n".join(f"- {p['display_text']}" for p in points)
        if points
        else ""
    )


def _from_library(question: str) -> str:
    part = search_documents(question, read_library(library_dir())[0])
    if part is None:
        return ""
    answer, source = in_short(part)
    return f"{answer}\n\n(From: {source})"


def _fallback(text: str) -> str:
    shortened = text if len(text) <= 80 else f"{text[:77]}..."
    return f"You wrote: “{shortened}”. I found nothing about that in the library. {_CAN}"


def _cut(text: str, stop: Sequence[str] | None) -> str:
    return text[: min([len(text), *(end for mark in stop or () if (end := text.find(mark)) >= 0)])]


def _usage(messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
    read = sum(_tokens(str(message.text)) for message in messages)
    return {"input_tokens": read, "output_tokens": _tokens(text), "total_tokens": read + _tokens(text)}


def _tokens(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def _result(messages: Sequence[BaseMessage], text: str) -> ChatResult:
    message = AIMessage(
        text, usage_metadata=_usage(messages, text), response_metadata={"model_name": "slipway-builtin"}
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunks(messages: Sequence[BaseMessage], text: str) -> Iterator[ChatGenerationChunk]:
    for match in _TOKEN.finditer(text):
        yield ChatGenerationChunk(message=AIMessageChunk(content=match.group()))
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            usage_metadata=_usage(messages, text),
            response_metadata={"model_name": "slipway-builtin"},
            chunk_position="last",
        )
    )
