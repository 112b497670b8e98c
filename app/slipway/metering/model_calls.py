"""What LangChain's callbacks say about a call of a model: its name, and how many tokens it may use and has used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

UNKNOWN_MODEL: Final = "unknown"

_BYTES_PER_TOKEN: Final = 3
"""Tokenizers need about one token for four characters of English, and for each character of Chinese, which has three
bytes. So this is more than a call usually needs."""

_TOKENS_PER_MESSAGE: Final = 4
_TOKENS_PER_MEDIUM: Final = 1600
"""An image, a file or a sound: its size says little about its tokens."""

_MODEL_NAMES: Final = ("model", "model_name", "model_id", "deployment_name")
_OUTPUT_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample")


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call of a model that is about to be made."""

    model: str
    provider: str | None
    input_tokens: int
    """An estimate, which is rather too high."""
    max_output_tokens: int | None
    """None if the call does not limit them."""
    choices: int = 1
    """How many answers it generates."""


def model_call(
    prompt: Sequence[BaseMessage] | str, metadata: Mapping[str, Any] | None, parameters: Mapping[str, Any] | None
) -> ModelCall:
    """The call of a prompt, from the metadata and the invocation parameters that LangChain passes to callbacks."""
    metadata, parameters = metadata or {}, parameters or {}
    limit = _count_of(parameters, _OUTPUT_LIMITS) or _count_of(metadata, ("ls_max_tokens",))
    choices = _count_of(parameters, ("n",))
    tools = parameters.get("tools") or parameters.get("functions")
    return ModelCall(
        model=_model_name(metadata, parameters),
        provider=metadata.get("ls_provider"),
        input_tokens=_tokens_of(prompt) + (_tokens_of_json(tools) if tools else 0),
        max_output_tokens=limit,
        choices=choices or 1,
    )


def _model_name(metadata: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    names = [metadata.get("ls_model_name"), *(parameters.get(name) for name in _MODEL_NAMES), parameters.get("_type")]
    name = next((name for name in names if isinstance(name, str) and name), UNKNOWN_MODEL)
    return name.removeprefix("models/")


def _count_of(values: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The first of these values that is a number above 0."""
    counts = (value for name in names if isinstance(value := values.get(name), int) and not isinstance(value, bool))
    return next((count for count in counts if count > 0), None)


def _tokens_of(prompt: Sequence[BaseMessage] | str) -> int:
    if isinstance(prompt, str):
        return _tokens_of_text(prompt)
    return sum(_tokens_of_message(message) for message in prompt)


def _tokens_of_message(message: BaseMessage) -> int:
    content = message.content
    parts: Iterable[Any] = [content] if isinstance(content, str) else content
    tokens = _TOKENS_PER_MESSAGE + sum(_tokens_of_part(part) for part in parts)
    calls = getattr(message, "tool_calls", None)
    return tokens + (_tokens_of_json(calls) if calls else 0)


def _tokens_of_part(part: Any) -> int:
    if isinstance(part, str):
        return _tokens_of_text(part)
    if isinstance(part, dict) and isinstance(text := part.get("text"), str):
        return _tokens_of_text(text)
    return _TOKENS_PER_MEDIUM


def _tokens_of_text(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _tokens_of_json(value: Any) -> int:
    try:
        return -(-len(orjson.dumps(value, default=str)) // _BYTES_PER_TOKEN)
    except orjson.JSONEncodeError:
        return _tokens_of_text(str(value))


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """What a provider says that a call has used. `cached` tokens are a part of the `input` tokens."""

    input: int
    output: int
    cached: int


def reported_usage(response: LLMResult | None) -> ReportedUsage | None:
    """The usage that the messages of a response have; a streamed response has one as well. None if it has none."""
    if response is None:
        return None
    messages = [
        generation.message
        for generations in response.generations
        for generation in generations
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage)
    ]
    usages = [message.usage_metadata for message in messages if message.usage_metadata]
    if usages:
        usage = usages[0]  # with several choices, each message has the usage of the whole call
        read, total = usage.get("input_tokens") or 0, usage.get("total_tokens") or 0
        cached = (usage.get("input_token_details") or {}).get("cache_read") or 0
        return ReportedUsage(read, max(usage.get("output_tokens") or 0, total - read), cached)
    return _usage_in_output(response.llm_output)


def _usage_in_output(output: Mapping[str, Any] | None) -> ReportedUsage | None:
    """The usage of a model that completes texts, and has no messages."""
    usage = (output or {}).get("token_usage") or (output or {}).get("usage")
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(read, int) or not isinstance(written, int):
        return None
    return ReportedUsage(read, written, 0)


def was_rejected(error: BaseException) -> bool:
    """Whether the provider has rejected the call, so that it used nothing: an HTTP status from 400 to 499, except a
    time-out."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and 400 <= status < 500 and status != 408
