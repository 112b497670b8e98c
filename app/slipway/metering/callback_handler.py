"""The callback handler by which LangChain tells the meter about calls of models and tools, and about subgraphs.

LangChain asks for it whenever it configures callbacks (`register_configure_hook`), so it is present in every chain,
subgraph and thread that carries the context of a run, or was given the config of its node. Three things are special:

- An `AsyncCallbackManager` awaits a coroutine function, a `CallbackManager` calls a function and ignores exceptions of
  coroutines. So the events at the start of a call are properties, which return the one or the other.
- An `AsyncCallbackManager` that announces a call of a chat model gives up on all other handlers if one that is executed
  inline raises or is cancelled. So this one is not executed inline then, but together with the others. Before the call
  of a text model, it executes only those handlers that are executed inline, if there are any.
- A superstep of the root graph, which the ceiling guard counts, costs nothing here: its chains have no handler
  (`_ConfiguredHandler`). Within a node, chains announce the tasks of subgraphs.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.manager import AsyncCallbackManager, handle_event
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool
from langchain_core.tracers.context import register_configure_hook

from slipway.current_work import CURRENT_WORK
from slipway.errors import OutsideRun
from slipway.metering.call_spans import CallSpans
from slipway.metering.marks import COUNTED_BY_GATEWAY, TOOL_MARK, calls_marked_function
from slipway.metering.meter import Meter
from slipway.metering.model_calls import UNKNOWN_OBJECT, ModelObject, model_call, reported_usage, was_rejected
from slipway.switches.attempt_switches import CURRENT_SWITCHES
from slipway.tracing.current_call import call_announced

_CALLED_BY_SYNC_MANAGER: Final = handle_event.__code__
_CALLED_BY_ANNOUNCEMENT: Final = AsyncCallbackManager.on_chat_model_start.__code__

_announced: ContextVar[ModelObject] = ContextVar("announced_model", default=UNKNOWN_OBJECT)
"""The chat model whose call an `AsyncCallbackManager` announces. LangChain does not pass its object to callbacks, so it
is read in the frame of the method that announces the call, where `self` is the model."""

_FRAMES_TO_MODEL: Final = 3
"""From `start_chat_model` through `handle_event` and `on_chat_model_start` of LangChain to the method of the model."""


def _model_in(frame: FrameType | None) -> ModelObject:
    return ModelObject.of(None if frame is None else frame.f_locals.get("self"))


_TASK_TAG: Final = "graph:step:"


class _StartEvent:
    """An attribute that is a function for a `CallbackManager`, and a coroutine function for an `AsyncCallbackManager`.
    Both managers read it right before they call it."""

    def __init__(self, name: str) -> None:
        self._sync, self._async = name, f"a{name}"

    def __get__(self, handler: MeteringHandler, kind: type) -> Callable[..., Any]:
        is_sync = sys._getframe(1).f_code is _CALLED_BY_SYNC_MANAGER
        method: Callable[..., Any] = getattr(handler, self._sync if is_sync else self._async)
        return method


class MeteringHandler(BaseCallbackHandler):
    """Counts for one meter, and raises before a call that would pass a ceiling."""

    raise_error = True

    def __init__(self, meter: Meter | None, permit_tool: Callable[[str, str | None], object] | None = None) -> None:
        """`meter` None: for code that is not a run's (`OutsideHandler`). `permit_tool` raises if the policy forbids a
        tool that no registry knows; it is called with the name of the tool and of the node before the call is
        counted."""
        self._meter, self._permit_tool, self._spans = meter, permit_tool, CallSpans()

    @property
    def meter(self) -> Meter:
        assert self._meter is not None
        return self._meter

    # how and whether events are handled

    @property
    def run_inline(self) -> bool:  # type: ignore[override]
        caller = sys._getframe(1)
        if caller.f_code is not _CALLED_BY_ANNOUNCEMENT:
            return True
        _announced.set(_model_in(caller.f_back))  # the tasks that execute the handlers are created after this
        call_announced()
        return False

    @property
    def ignore_chain(self) -> bool:
        return var_child_runnable_config.get() is None

    @property
    def ignore_retriever(self) -> bool:
        return True

    @property
    def ignore_retry(self) -> bool:
        return True

    @property
    def ignore_custom_event(self) -> bool:
        return True

    # models

    if not TYPE_CHECKING:  # they have the signatures of the methods below
        on_chat_model_start = _StartEvent("start_chat_model")
        on_llm_start = _StartEvent("start_llm")
        on_tool_start = _StartEvent("start_tool")

    def start_chat_model(
        self, serialized: Any, messages: Sequence[Sequence[BaseMessage]], *, run_id: UUID, **details: Any
    ) -> None:
        model = _model_in(sys._getframe(_FRAMES_TO_MODEL))
        with self._refusals(run_id):
            self._reserve(messages, run_id, details, model)
            self.meter.store_reservation_blocking(run_id, _node(details))

    async def astart_chat_model(
        self, serialized: Any, messages: Sequence[Sequence[BaseMessage]], *, run_id: UUID, **details: Any
    ) -> None:
        with self._refusals(run_id):
            self._reserve(messages, run_id, details, _announced.get())
            await self.meter.store_reservation(run_id, _node(details))

    def start_llm(self, serialized: Any, prompts: Sequence[str], *, run_id: UUID, **details: Any) -> None:
        with self._refusals(run_id):
            self._reserve(prompts, run_id, details)
            self.meter.store_reservation_blocking(run_id, _node(details))

    async def astart_llm(self, serialized: Any, prompts: Sequence[str], *, run_id: UUID, **details: Any) -> None:
        with self._refusals(run_id):
            self._reserve(prompts, run_id, details)
            await self.meter.store_reservation(run_id, _node(details))

    def _reserve(
        self,
        prompts: Sequence[Sequence[BaseMessage]] | Sequence[str],
        run_id: UUID,
        details: Mapping[str, Any],
        model: ModelObject = UNKNOWN_OBJECT,
    ) -> None:
        """LangChain announces one prompt at a time."""
        prompt, parameters = prompts[0] if prompts else "", details.get("invocation_params")
        call = model_call(prompt, details.get("metadata"), parameters, model)
        self._spans.model_started(run_id, call, details.get("metadata"), prompt)
        self.meter.reserve(run_id, call, _node(details))

    @contextmanager
    def _refusals(self, call_id: UUID) -> Iterator[None]:
        """LangChain does not announce the end of a call that is refused inside the block."""
        try:
            yield
        except BaseException as error:
            self._spans.refused(call_id, error)
            raise

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **details: Any) -> None:
        used = reported_usage(response)
        if used is None:
            self.meter.report_missing_usage(run_id)
        self._spans.model_ended(run_id, response, self.meter.settle(run_id, used))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **details: Any) -> None:
        self.meter.settle(run_id, None, rejected=was_rejected(error, details.get("response")))
        self._spans.failed(run_id, error)

    # tools

    def start_tool(self, serialized: Any, input_str: str, *, run_id: UUID, **details: Any) -> None:
        if not _is_counted_by_gateway(details):
            with self._refusals(run_id):
                self._count_tool_call(serialized, input_str, run_id, details)
                self.meter.store_reservation_blocking(None, _node(details))

    async def astart_tool(self, serialized: Any, input_str: str, *, run_id: UUID, **details: Any) -> None:
        if not _is_counted_by_gateway(details):
            with self._refusals(run_id):
                self._count_tool_call(serialized, input_str, run_id, details)
                await self.meter.store_reservation(None, _node(details))

    def on_tool_end(self, output: Any, *, run_id: UUID, **details: Any) -> None:
        self._spans.tool_ended(run_id, output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **details: Any) -> None:
        self._spans.failed(run_id, error)

    def _count_tool_call(self, serialized: Any, input_str: str, run_id: UUID, details: Mapping[str, Any]) -> None:
        node, tool = _node(details), (serialized or {}).get("name") or ""
        self._spans.tool_started(run_id, tool, lambda: details.get("inputs") or input_str)
        if (switches := CURRENT_SWITCHES.get()) is not None:
            switches.check_tool(tool)
        if self._permit_tool is not None:
            self._permit_tool(tool, node)
        self.meter.count_tool_call(node)

    # subgraphs

    def on_chain_start(self, serialized: Any, inputs: Any, **details: Any) -> None:
        metadata = details.get("metadata") or {}
        namespace = metadata.get("langgraph_checkpoint_ns")
        if not isinstance(namespace, str) or _is_called_task(metadata):
            return
        if "|" not in namespace:
            if not _is_task(details):
                return
            namespace = f"{_namespace_around()}|{namespace}"
        self.meter.nested_task(namespace, metadata.get("langgraph_step", 0))


class OutsideHandler(MeteringHandler):
    """The handler where no run executes: in the requests and duties of a process, in notebooks and tests, and in a
    thread that a node has started without its context. In such a thread nothing could count a call, so it is
    refused."""

    def __init__(self) -> None:
        super().__init__(None)

    @property
    def ignore_chain(self) -> bool:
        return True

    @property
    def ignore_llm(self) -> bool:
        return not _lost_its_context()

    @property
    def ignore_chat_model(self) -> bool:
        return not _lost_its_context()

    @property
    def ignore_agent(self) -> bool:
        return not _lost_its_context()

    def start_chat_model(self, *arguments: Any, **details: Any) -> None:
        raise OutsideRun("a chat model")

    def start_llm(self, *arguments: Any, **details: Any) -> None:
        raise OutsideRun("a model")

    def start_tool(self, *arguments: Any, **details: Any) -> None:
        if not _is_counted_by_gateway(details):
            raise OutsideRun("a tool")

    async def astart_chat_model(self, *arguments: Any, **details: Any) -> None:
        self.start_chat_model()

    async def astart_llm(self, *arguments: Any, **details: Any) -> None:
        self.start_llm()

    async def astart_tool(self, *arguments: Any, **details: Any) -> None:
        self.start_tool(**details)

    def on_llm_end(self, *arguments: Any, **details: Any) -> None:
        """A call that was made is not one of a run."""

    def on_llm_error(self, *arguments: Any, **details: Any) -> None:
        """The same."""


_OUTSIDE: Final = OutsideHandler()

HANDLER: Final[ContextVar[BaseCallbackHandler | None]] = ContextVar("metering_handler", default=_OUTSIDE)
"""The handler of the run whose code executes."""


class _ConfiguredHandler:
    """What LangChain asks for the handler, instead of the context variable. The chains of the root graph get none: its
    supersteps are counted by the ceiling guard, and a handler that ignores them would still cost something for each
    node. What a node calls gets it in any case."""

    def get(self) -> BaseCallbackHandler | None:
        handler = HANDLER.get()
        if handler is _OUTSIDE or var_child_runnable_config.get() is not None:
            return handler
        caller = sys._getframe(_FRAMES_TO_CALLER).f_code.co_name
        return None if caller.endswith("callback_manager_for_config") else handler


_FRAMES_TO_CALLER: Final = 3
"""From `get` through `_configure` and `configure` of LangChain to the function that configures callbacks: of a chain, a
model or a tool."""

register_configure_hook(_ConfiguredHandler(), inheritable=True, handle_class=MeteringHandler)  # type: ignore[arg-type]


# threads

EXECUTING_THREADS: Final[list[int]] = []
"""The threads whose event loops execute runs: one, which is named twice if two services are open, as in tests."""

_process_work: ContextVar[bool] = ContextVar("process_work", default=False)
"""Whether the code works for the process itself: its start, its duties, the project's arq jobs."""


@contextmanager
def executing_runs() -> Iterator[None]:
    """Inside the block, this thread's event loop executes runs. Tasks that are created in the current context, and
    threads that carry it, work for the process itself."""
    thread = threading.get_ident()
    EXECUTING_THREADS.append(thread)
    _process_work.set(True)
    try:
        yield
    finally:
        EXECUTING_THREADS.remove(thread)


def _lost_its_context() -> bool:
    """Whether the current thread carries no context of this process, although the process executes runs: a node has
    started it."""
    if not EXECUTING_THREADS or threading.get_ident() in EXECUTING_THREADS:
        return False
    return not _process_work.get() and not CURRENT_WORK.get()


def _is_task(details: Mapping[str, Any]) -> bool:
    """Whether LangGraph starts a task. Within a node it belongs to another graph, although its namespace may be that of
    a root graph: the code has called it on another thread, or with a namespace of its own."""
    return any(tag.startswith(_TASK_TAG) for tag in details.get("tags") or ())


def _namespace_around() -> str:
    """The checkpoint namespace of the node that calls a graph."""
    metadata = (var_child_runnable_config.get() or {}).get("metadata") or {}
    return str(metadata.get("langgraph_checkpoint_ns") or "")


def _is_called_task(metadata: Mapping[str, Any]) -> bool:
    """Whether a node has called the task (`@task`): such a task is no superstep. LangGraph marks its path with True."""
    path = metadata.get("langgraph_path")
    return path is not None and len(path) > 0 and path[-1] is True


def _node(details: Mapping[str, Any]) -> str | None:
    node = (details.get("metadata") or {}).get("langgraph_node")
    return node if isinstance(node, str) else None


def _is_counted_by_gateway(details: Mapping[str, Any]) -> bool:
    """Called by the function that handles the start of a call."""
    marked = (details.get("metadata") or {}).get(TOOL_MARK) is COUNTED_BY_GATEWAY
    return marked or calls_marked_function(_tool_above(sys._getframe(1)))


def _tool_above(frame: FrameType | None) -> object:
    """The LangChain tool whose call is announced, which LangChain does not pass to callbacks: the `self` of its method
    in a frame above."""
    for _ in range(_FRAMES_TO_TOOL):
        if frame is None:
            return None
        if frame.f_code in _TOOL_METHODS:
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


_TOOL_METHODS: Final = frozenset((BaseTool.run.__code__, BaseTool.arun.__code__))
_FRAMES_TO_TOOL: Final = 8
"""More than there are between the start of a call and the method of the tool."""
