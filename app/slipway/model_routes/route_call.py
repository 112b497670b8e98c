"""One call through a model route: tries the models in order, and records each fallback.

The next model is tried when one cannot be created, fails, sends nothing for too long, is over its rate limit, or has an
open circuit breaker. It is not tried for a request that every model would reject, and not after a part of the reply was
sent: a client would receive the beginning of one reply and the end of another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any, Final, TypeVar

import structlog
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs

from slipway.circuit_breakers.breakers import BREAKERS, PROBE_S
from slipway.errors import BreakerOpen, ConfigError, ModelUnavailable
from slipway.exception_text import message_of
from slipway.graphs.models_section import ModelRoute, ModelSpec
from slipway.model_routes.current_routes import OpenRoutes, current_routes, find_route
from slipway.model_routes.model_failures import ModelFailure, judge, model_failure, opening_failure
from slipway.model_routes.uncalled_models import record_uncalled
from slipway.runs.audit import AuditEntry
from slipway.runs.current_attempt import CURRENT_ATTEMPT
from slipway.runs.write_commands import append_audit
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_frame

log = structlog.get_logger(__name__)

ACTION: Final = "model.fallback"
"""The action in the audit trail, and the code of the notice event."""

T = TypeVar("T")
Part = TypeVar("Part")


class Progress(BaseCallbackHandler):
    """Notices each part of a reply that the callbacks of a model receive: LangGraph sends them to clients. Each part
    extends the time that the model has for the next one."""

    run_inline = True
    ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = ignore_retry = True

    def __init__(self, timeout_s: float) -> None:
        self.parts, self.tried_at = 0, time.monotonic()
        """`tried_at`: when the route came to the model."""
        self.deadline: asyncio.Timeout | None = None
        self._timeout_s = timeout_s

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing. Without this method, LangChain would convert the prompt to text and call `on_llm_start`."""

    def on_llm_new_token(self, token: str | list[Any], *, chunk: Any = None, **kwargs: Any) -> None:
        if token or (isinstance(chunk, ChatGenerationChunk) and says_something(chunk.message)):
            self.part()

    def on_stream_event(self, event: Mapping[str, Any], **kwargs: Any) -> None:
        if event.get("event") == "content-block-delta":
            self.part()

    def part(self) -> None:
        self.parts += 1
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_s)


def says_something(part: object) -> bool:
    """Whether a part of a reply is more than a beginning without content."""
    if not isinstance(part, BaseMessage):
        return True
    calls_tool = isinstance(part, AIMessageChunk) and part.tool_call_chunks
    return bool(part.content or calls_tool or part.additional_kwargs)


class _NotCreated(Exception):
    """A model could not be created."""

    def __init__(self, failure: ModelFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class RouteCall:
    """One call. Raises `ConfigError` if there is no route, and `ModelUnavailable` if no model replies."""

    def __init__(self, route: str | None, config: RunnableConfig | None) -> None:
        self._opened: OpenRoutes = current_routes()
        self._config = ensure_config(config)
        found, self._nodes = find_route(self._opened.routes, route, self._config)
        if found is None:
            raise ConfigError(_no_model(self._nodes))
        self._route: ModelRoute = found
        self._failures: dict[str, ModelFailure] = {}

    async def result(self, use: Callable[[BaseChatModel, RunnableConfig], Awaitable[T]]) -> T:
        """What `use` returns for the first model that replies."""
        for index, spec in enumerate(self._route.models):
            timeout_s = self._timeout_s(spec)
            progress = Progress(timeout_s)
            try:
                model = await self._open(spec)
                async with BREAKERS.call("model", spec.model, judge=judge, probe_s=timeout_s + PROBE_S):
                    async with asyncio.timeout(timeout_s) as progress.deadline:
                        return await use(model, self._config_for(index, progress))
            except Exception as error:
                if not self._tries_next(index, error, progress):
                    raise
        raise AssertionError("the last failure raises")

    def result_sync(self, use: Callable[[BaseChatModel, RunnableConfig], T]) -> T:
        """The same in a thread, and without Slipway's time-out: that of the model itself applies."""
        for index, spec in enumerate(self._route.models):
            progress = Progress(self._timeout_s(spec))
            try:
                model = self._open_sync(spec)
                with BREAKERS.call_sync("model", spec.model, judge=judge):
                    return use(model, self._config_for(index, progress))
            except Exception as error:
                if not self._tries_next(index, error, progress):
                    raise
        raise AssertionError("the last failure raises")

    async def parts(self, use: Callable[[BaseChatModel, RunnableConfig], AsyncIterator[Part]]) -> AsyncIterator[Part]:
        """The parts that `use` yields for the first model that replies. Parts without content are held back until one
        with content follows."""
        for index, spec in enumerate(self._route.models):
            timeout_s = self._timeout_s(spec)
            progress, held = Progress(timeout_s), list[Part]()
            try:
                model = await self._open(spec)
                async with BREAKERS.call("model", spec.model, judge=judge, probe_s=timeout_s + PROBE_S):
                    # `aclosing` needs a generator, which LangChain's `astream` is
                    async with aclosing(use(model, self._config_for(index, progress))) as parts:  # type: ignore[type-var]
                        while True:
                            try:
                                async with asyncio.timeout(timeout_s):
                                    held.append(await anext(parts))
                            except StopAsyncIteration:
                                break
                            if progress.parts or says_something(held[-1]):
                                progress.parts += 1
                                while held:
                                    yield held.pop(0)
                    while held:
                        yield held.pop(0)
                return
            except Exception as error:
                if not self._tries_next(index, error, progress):
                    raise

    def parts_sync(self, use: Callable[[BaseChatModel, RunnableConfig], Iterator[Part]]) -> Iterator[Part]:
        """The same in a thread, and without Slipway's time-out."""
        for index, spec in enumerate(self._route.models):
            progress, held = Progress(self._timeout_s(spec)), list[Part]()
            try:
                model = self._open_sync(spec)
                with BREAKERS.call_sync("model", spec.model, judge=judge):
                    with closing(use(model, self._config_for(index, progress))) as parts:  # type: ignore[type-var]
                        for part in parts:
                            held.append(part)
                            if progress.parts or says_something(part):
                                progress.parts += 1
                                while held:
                                    yield held.pop(0)
                    while held:
                        yield held.pop(0)
                return
            except Exception as error:
                if not self._tries_next(index, error, progress):
                    raise

    async def first_model(self) -> BaseChatModel:
        """The first model of the route. Raises what creating it raises."""
        spec, tried_at = self._route.models[0], time.monotonic()
        try:
            return await self._opened.routes.open(spec)
        except Exception as error:
            record_uncalled(spec, tried_at, error, None)
            raise

    def first_model_sync(self) -> BaseChatModel:
        """The same, and blocks."""
        spec, tried_at = self._route.models[0], time.monotonic()
        try:
            return self._opened.routes.open_sync(spec)
        except Exception as error:
            record_uncalled(spec, tried_at, error, None)
            raise

    def _timeout_s(self, spec: ModelSpec) -> float:
        return spec.timeout_s or self._opened.routes.timeout_s

    async def _open(self, spec: ModelSpec) -> BaseChatModel:
        try:
            return await self._opened.routes.open(spec)
        except Exception as error:
            raise _NotCreated(opening_failure(error)) from error

    def _open_sync(self, spec: ModelSpec) -> BaseChatModel:
        try:
            return self._opened.routes.open_sync(spec)
        except Exception as error:
            raise _NotCreated(opening_failure(error)) from error

    def _config_for(self, index: int, progress: Progress) -> RunnableConfig:
        """The config of the call. A trace shows which calls are fallbacks."""
        more: RunnableConfig = {"callbacks": [progress]}
        if failed := self._fallback_from(index):
            more |= {"tags": [ACTION], "metadata": {"model_fallback_from": failed}}
        return merge_configs(self._config, more)

    def _fallback_from(self, index: int) -> str | None:
        """The model before, which has failed."""
        return self._route.models[index - 1].model if index else None

    def _tries_next(self, index: int, error: Exception, progress: Progress) -> bool:
        """Whether the next model is tried, which is recorded. False: `error` itself is raised. Raises
        `ModelUnavailable` if the error is a failure and no other model can reply."""
        failure = error.failure if isinstance(error, _NotCreated) else model_failure(error)
        if failure is None:
            return False
        spec, rest = self._route.models[index], self._route.models[index + 1 :]
        cause = error.__cause__ if isinstance(error, _NotCreated) else error
        if isinstance(error, _NotCreated | BreakerOpen):
            record_uncalled(spec, progress.tried_at, cause or error, self._fallback_from(index))
        log.warning(
            "model.failed",
            model=spec.model,
            model_route=self._route.name,
            reason=str(failure),
            problem=message_of(cause or error),
            parts=progress.parts,
        )
        self._failures[spec.model] = failure
        if progress.parts:
            raise self._unavailable(
                f"the model {spec.model} failed after it had sent a part of its reply ({failure}), which another model "
                f"cannot continue: {failure.advice}"
            ) from cause
        if not rest:
            reasons = "; ".join(f"{model}: {each}: {each.advice}" for model, each in self._failures.items())
            raise self._unavailable(f"no model of the route {self._route.name!r} replied: {reasons}") from cause
        self._record(spec, rest[0], failure)
        return True

    def _unavailable(self, message: str) -> ModelUnavailable:
        reasons = {model: str(failure) for model, failure in self._failures.items()}
        return ModelUnavailable(f"{message}. Then retry the run", reasons)

    def _record(self, failed: ModelSpec, used: ModelSpec, failure: ModelFailure) -> None:
        """Appends a notice event and an entry of the audit trail, if a run makes the call."""
        attempt, keys, loop = CURRENT_ATTEMPT.get(), self._opened.routes.keys, self._opened.loop
        if attempt is None or keys is None or loop is None:
            return
        node = "/".join(self._nodes) or None
        details = {
            "route": self._route.name,
            "failed": failed.model,
            "used": used.model,
            "reason": str(failure),
            "node": node,
        }
        message = f"{failed.model} did not reply ({failure}); {used.model} is used"
        frame = encode_frame("notice", dumps({"code": ACTION, "message": message} | details))
        entry = AuditEntry(ACTION, "slipway", details)
        command = append_audit(
            keys, attempt.run.run_id, entry.action, entry.actor, entry.stored_details(attempt.run.run_id)
        )

        def write() -> None:
            attempt.append_beside_stream("notice", frame)
            attempt.add_command(command)

        if _is_current(loop):
            write()
        else:
            loop.call_soon_threadsafe(write)


def _is_current(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _no_model(nodes: tuple[str, ...]) -> str:
    attempt = CURRENT_ATTEMPT.get()
    of_node = f" for the node {'/'.join(nodes)!r}" if nodes else ""
    section = "slipway.models" if attempt is None else f"slipway.graphs.{attempt.run.graph_id}.models"
    return (
        f"no chat model is configured{of_node}: set SLIPWAY_MODEL, such as SLIPWAY_MODEL=openai:gpt-5, or add a route "
        f"to {section} in langgraph.json"
    )
