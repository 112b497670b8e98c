"""Which node the current code belongs to, known from where LangGraph starts it.

LangGraph writes the place of a task into the config that its node receives, and code of a graph may call another graph
or a tool with any config. So the place is known from elsewhere: when LangGraph starts a task, it is added to a context
variable, which everything that the task calls inherits, in threads too.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any, Final, Self

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.graph import START
from langgraph.pregel import _runner
from langgraph.types import Interrupt, PregelExecutableTask

from slipway.checkpoints.moved_ids import known_task
from slipway.current_work import find_node_with
from slipway.errors import ToolRefused
from slipway.telemetry.span import SpanKind
from slipway.tool_gateway.grants import NodePath
from slipway.tool_gateway.task_calls import TaskCalls
from slipway.tracing.attempt_trace import OpenSpan
from slipway.tracing.current_span import CURRENT_SPAN
from slipway.tracing.node_span import node_ended, node_started

_RUN: Final[Callable[..., Any]] = vars(_runner)["run_with_retry"]
_ARUN: Final[Callable[..., Coroutine[Any, Any, Any]]] = vars(_runner)["arun_with_retry"]
_RUNTIME: Final = "__pregel_runtime"
_NODE_ERROR: Final = "__pregel_node_error"
_RESUME: Final = "__resume__"
"""The channel of the answers that a task got."""
_ERROR_HANDLER: Final = "node_error_handler"
"""In the path of tasks that execute the error handler of a node."""

_MOST_ANSWERS: Final = 100
"""Later questions of a task are not recognized."""


class NodeExecution:
    """One execution of a node, or of a function with `@task`. A retry is another one.

    It is a block, in which LangGraph executes the task: `CURRENT_NODE` is this execution, and the node has a span. A
    retry happens within the block, and replaces `CURRENT_NODE`."""

    __slots__ = ("_before", "_span", "_span_before", "around", "has_ended", "made_calls", "task")

    def __init__(self, task: PregelExecutableTask, around: NodeExecution | None) -> None:
        self.task, self.around = task, around
        """LangGraph's task, and the node that executes the graph of the task. None for a node of the root graph."""
        self.has_ended = False
        self.made_calls: TaskCalls | None = None
        """None until the node calls a tool."""

    def __enter__(self) -> Self:
        self._before = CURRENT_NODE.set(self)
        around = CURRENT_SPAN.get()
        self._span: OpenSpan | None = None
        if around is not None:
            self._span = node_started(around, self.task)
            self._span_before = CURRENT_SPAN.set(self._span)
        return self

    def returned(self) -> None:
        """The code of the node has returned. Raises what `end` raises."""
        current = CURRENT_NODE.get()
        if current is not None and current.made_calls is not None and current.task is self.task:
            current.end()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._span is not None:
            node_ended(self._span, self.task, error)
        current = CURRENT_NODE.get()
        if current is not None and current.task is self.task:
            current.has_ended = True
        try:
            CURRENT_NODE.reset(self._before)
            if self._span is not None:
                CURRENT_SPAN.reset(self._span_before)
        except ValueError:
            return  # a task that is abandoned ends elsewhere, in another context

    @property
    def calls(self) -> TaskCalls:
        """The calls of tools that the node has made. Used in the event loop of the attempt only."""
        if self.made_calls is None:
            self.made_calls = TaskCalls(known_task(self.task.id))
        return self.made_calls

    def end(self) -> None:
        """The code of the node has returned. If it has caught the exception with which one of its calls asks people, or
        stops before a switch, raises it: otherwise the run would continue as if the call had failed."""
        asked = None if self.made_calls is None else self.made_calls.ends_with
        stopped = None if self.made_calls is None else self.made_calls.stopped
        ended_by = stopped if asked is None else GraphInterrupt(*asked.args)
        if ended_by is None:
            return
        answers = [write for write in self.task.writes if write[0] == _RESUME]
        self.task.writes.clear()  # of the result, which is not one
        self.task.writes.extend(answers)
        raise ended_by

    @property
    def name(self) -> str:
        """The node, or the function. An error handler belongs to the node that has failed."""
        if _ERROR_HANDLER in self.task.path:
            return str(self.task.config["configurable"][_NODE_ERROR].node)
        return self.task.name

    @property
    def path(self) -> NodePath:
        """The nodes whose code executes, the one of the root graph first."""
        return (self.name,) if self.around is None else (*self.around.path, self.name)

    @property
    def root(self) -> NodeExecution:
        """That of the node of the root graph."""
        return self if self.around is None else self.around.root

    @property
    def checkpoints(self) -> Mapping[str, str]:
        """The checkpoints of which the tasks around the code were made: namespace to id, '' for the root graph."""
        found: Mapping[str, str] = self.task.config["configurable"].get("checkpoint_map", {})
        return found

    @property
    def control(self) -> object:
        """LangGraph's `RunControl` of the graph of the task."""
        return getattr(self.task.config["configurable"].get(_RUNTIME), "control", None)

    def questions_in(self, asked: GraphBubbleUp) -> list[str]:
        """The ids of the interrupts with which code of this node asks people itself: those that LangGraph makes of the
        namespace of the task and the count of its answers. Other ids are of the gateway, or of a graph that a tool
        executes."""
        interrupts = asked.args[0] if isinstance(asked, GraphInterrupt) and asked.args else ()
        namespace = self.task.config["configurable"]["checkpoint_ns"]
        names = (namespace, *(f"{namespace}|{count}" for count in range(1, _MOST_ANSWERS)))
        own = {Interrupt.from_ns(None, name).id for name in names}
        return [each.id for each in interrupts if each.id in own]

    @classmethod
    def current(cls, tool: str) -> NodeExecution:
        """Raises `ToolRefused` if no node executes."""
        found = CURRENT_NODE.get()
        if found is None:
            raise ToolRefused(f"tool {tool!r} was called outside of a node", tool)
        if found.has_ended:
            raise ToolRefused(
                f"tool {tool!r} was called by code that node {'/'.join(found.path)!r} has started, when the node had "
                "ended: wait in the node until its calls have ended, and start threads for each node",
                tool,
            )
        return found


CURRENT_NODE: Final[ContextVar[NodeExecution | None]] = ContextVar("current_node", default=None)
"""None outside of a node, and in a thread that was started without its context."""


def follow_nodes() -> None:
    """From now on, `CURRENT_NODE` is the node that executes, and log lines name it. A repeated call does nothing."""
    if vars(_runner)["arun_with_retry"] is _arun:
        return
    find_node_with(_current_path)
    setattr(_runner, "run_with_retry", _run)  # noqa: B010  mypy knows no replaced function
    setattr(_runner, "arun_with_retry", _arun)  # noqa: B010


def _current_path() -> str | None:
    current = CURRENT_NODE.get()
    return None if current is None else "/".join(current.path)


def node_is_retried() -> None:
    """Must be called between two executions of a node by the same task, in its context."""
    before = CURRENT_NODE.get()
    if before is not None:
        before.has_ended = True
        CURRENT_NODE.set(NodeExecution(before.task, before.around))
        span = CURRENT_SPAN.get()
        if span is not None and span.kind is SpanKind.NODE:
            span.retried()


def _run(task: PregelExecutableTask, *args: Any, **kwargs: Any) -> Any:
    if task.name == START:  # writes the input; has no code of a node
        return _RUN(task, *args, **kwargs)
    with NodeExecution(task, CURRENT_NODE.get()) as node:
        result = _RUN(task, *args, **kwargs)
        node.returned()
    return result


def _arun(task: PregelExecutableTask, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    if task.name == START:
        return _ARUN(task, *args, **kwargs)
    return _arun_followed(task, *args, **kwargs)


async def _arun_followed(task: PregelExecutableTask, *args: Any, **kwargs: Any) -> Any:
    with NodeExecution(task, CURRENT_NODE.get()) as node:
        result = await _ARUN(task, *args, **kwargs)
        node.returned()
    return result
