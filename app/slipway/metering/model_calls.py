"""What LangChain's callbacks say about a call of a model: its name, and how many tokens it may use and has used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from slipway.exception_text import causes_of
from slipway.http_status import http_status_of

UNKNOWN_MODEL: Final = "unknown"

_BYTES_PER_TOKEN: Final = 3
"""Tokenizers need about one token for four characters of English, and for each character of Chinese, which has three
bytes. So this is more than a call usually needs."""

_TOKENS_PER_MESSAGE: Final = 4
_TOKENS_PER_MEDIUM: Final = 1600
"""An image, a file or a sound: its size says little about its tokens."""

_MODEL_NAMES: Final = ("model", "model_name", "model_id", "deployment_name")
_OUTPUT_LIMITS: Final = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "num_predict",
)
_CHOICES: Final = ("n", "best_of", "candidate_count")
_CACHE_WRITES: Final = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""How the details of the input name tokens that were written to a cache. Anthropic's package names those with a time to
live, and then 0 for all."""

_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "LocalProtocolError"})
"""Exceptions of HTTP clients before a request was sent. The packages of providers use several, whose names agree."""


@dataclass(frozen=True, slots=True)
class ModelObject:
    """What the object of a model says about itself."""

    names: frozenset[str]
    """Of the model."""
    own_limit: int | None
    """How many tokens its calls may generate, if it has such an attribute: not each class passes it to callbacks."""
    of_profile: int | None
    """How many tokens the model generates at most, by `BaseChatModel.profile`."""

    @classmethod
    def of(cls, model: object) -> ModelObject:
        values: dict[str, Any] = {name: getattr(model, name, None) for name in (*_MODEL_NAMES, *_OUTPUT_LIMITS)}
        names = frozenset(values[name] for name in _MODEL_NAMES if isinstance(values[name], str))
        profile = getattr(model, "profile", None)
        of_profile = _largest_of(profile, ("max_output_tokens",)) if isinstance(profile, dict) else None
        return cls(names, _largest_of(values, _OUTPUT_LIMITS), of_profile)

    def most_output(self, parameters: Mapping[str, Any]) -> int | None:
        """What a call with these parameters generates at most. None if they name another model, about which the profile
        says nothing."""
        named = {name for parameter in _MODEL_NAMES if isinstance(name := parameters.get(parameter), str)}
        return self.of_profile if named <= self.names else None


UNKNOWN_OBJECT: Final = ModelObject(frozenset(), None, None)
"""Where nobody knows the object: a text model, or code that announces a call by itself."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call of a model that is about to be made."""

    model: str
    provider: str | None
    input_tokens: int
    """An estimate, which is rather too high."""
    max_output_tokens: int | None
    """Its own limit. None if it has none."""
    most_output_tokens: int | None = None
    """What the model generates at most, by its profile. None if it has none."""
    choices: int = 1
    """How many answers it generates."""


def model_call(
    prompt: Sequence[BaseMessage] | str,
    metadata: Mapping[str, Any] | None,
    parameters: Mapping[str, Any] | None,
    model: ModelObject = UNKNOWN_OBJECT,
) -> ModelCall:
    """The call of a prompt, from the metadata and the invocation parameters that LangChain passes to callbacks, and
    from the object of the model."""
    metadata, parameters = metadata or {}, parameters or {}
    if isinstance(extra := parameters.get("extra_body"), Mapping):  # OpenAI's package adds its members to the request
        parameters = {**parameters, **extra}
    options = parameters.get("options")  # of Ollama: they replace what the object says
    limit = _largest_of(parameters, _OUTPUT_LIMITS) or _largest_of(metadata, ("ls_max_tokens",))
    own_limit = _largest_of(options, _OUTPUT_LIMITS) if isinstance(options, dict) else model.own_limit
    tools = parameters.get("tools") or parameters.get("functions")
    return ModelCall(
        model=_model_name(metadata, parameters),
        provider=metadata.get("ls_provider"),
        input_tokens=_tokens_of(prompt) + (_tokens_of_json(tools) if tools else 0),
        max_output_tokens=limit or own_limit,
        most_output_tokens=model.most_output(parameters),
        choices=_largest_of(parameters, _CHOICES) or 1,
    )


def _model_name(metadata: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    names = [metadata.get("ls_model_name"), *(parameters.get(name) for name in _MODEL_NAMES), parameters.get("_type")]
    name = next((name for name in names if isinstance(name, str) and name), UNKNOWN_MODEL)
    return name.removeprefix("models/")


def _largest_of(values: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The largest of these values that are numbers above 0: a call may have one in its model and one of its own."""
    counts = (value for name in names if isinstance(value := values.get(name), int) and not isinstance(value, bool))
    return max((count for count in counts if count > 0), default=None)


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
    """What a provider says that a call has used. `cached` and `written` tokens, which were read from its cache and
    written to it, are parts of the `input` tokens."""

    input: int
    """0 if the provider does not say it, as some that imitate Anthropic in streams."""
    output: int
    cached: int
    written: int = 0


def reported_usage(response: LLMResult | None) -> ReportedUsage | None:
    """The usage that the messages of a response have; a streamed response has one as well. None if it has none."""
    if response is None:
        return None
    usages = [message.usage_metadata for message in _messages(response) if message.usage_metadata]
    if usages:
        usage = usages[0]  # with several choices, each message has the usage of the whole call
        read, total = usage.get("input_tokens") or 0, usage.get("total_tokens") or 0
        details: Mapping[str, Any] = usage.get("input_token_details") or {}
        # OpenAI's service tiers have names of their own, such as `flex_cache_read`
        cached = sum(count or 0 for name, count in details.items() if name.endswith("cache_read"))
        written = sum(count or 0 for name, count in details.items() if name.endswith(_CACHE_WRITES))
        return ReportedUsage(read, max(usage.get("output_tokens") or 0, total - read), cached, written)
    return _usage_in_output(response.llm_output)


def _usage_in_output(output: Mapping[str, Any] | None) -> ReportedUsage | None:
    """The usage of a model that completes texts, and has no messages."""
    usage = (output or {}).get("token_usage") or (output or {}).get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return ReportedUsage(prompt, completion, 0)


def was_rejected(error: BaseException, response: LLMResult | None = None) -> bool:
    """Whether the call used nothing, because the provider has rejected it or has not received it: an HTTP status from
    400 to 499, except a time-out, 503 and 529 (overloaded), and a connection that was not opened. `response` is what
    had arrived of a stream, which must be nothing."""
    if any(message.content or message.tool_calls for message in _messages(response)):
        return False
    status = http_status_of(error)
    if status is not None and ((status < 500 and status != 408) or status in (503, 529)):
        return True
    return not _NEVER_SENT.isdisjoint(kind.__name__ for cause in causes_of(error) for kind in type(cause).__mro__)


def _messages(response: LLMResult | None) -> list[AIMessage]:
    return [
        generation.message
        for generations in (response.generations if response is not None else ())
        for generation in generations
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage)
    ]
