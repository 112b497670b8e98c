"""Graphs that call a chat model without a network, and tools."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, HumanMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt

from slipway import ceilings
from slipway.graphs.interface import Graph

calls: Counter[str] = Counter()
"""Thread id to how many calls of models and tools were really made."""

refused: Counter[str] = Counter()
"""Thread id to how many calls of `stubborn` a ceiling has refused."""

gates: dict[str, asyncio.Event] = {}
"""Thread id to the event that the model waits for, if there is one."""

thread_of_call: dict[str, str] = {}


class MeteredModel(BaseChatModel):
    """A model that says what it used: 10 input tokens, 20 output tokens. Its answer calls a tool as often as it is told
    to."""

    model: str = "fake"
    max_tokens: int | None = 30
    reads: int = 10
    reports: bool = True
    fails: str = ""
    endless: bool = False

    @property
    def _llm_type(self) -> str:
        return "fake-chat-model"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "test", "ls_model_name": self.model, "ls_max_tokens": self.max_tokens}

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        calls[_thread(messages)] += 1
        if self.fails == "rejected":
            raise _error(429)
        if self.fails:
            raise _error(500)
        usage: Any = {"input_tokens": self.reads, "output_tokens": 20, "total_tokens": self.reads + 20}
        message = AIMessage("…", usage_metadata=usage if self.reports else None)
        if self.endless:
            message.tool_calls = [ToolCall(name="look", args={"what": "x"}, id=str(len(messages)), type="tool_call")]
        return message

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if (gate := gates.get(_thread(messages))) is not None:
            await gate.wait()
        return self._generate(messages)


class StreamingModel(MeteredModel):
    """The same, in pieces; the last one has the usage."""

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        answer = self._answer(messages)
        for text in ("a", "b"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=answer.usage_metadata))


def _error(status: int) -> Exception:
    error = RuntimeError(f"status {status}")
    error.status_code = status  # type: ignore[attr-defined]
    return error


def _thread(messages: list[BaseMessage]) -> str:
    """Tests begin the first message with the id of the thread."""
    return str(messages[0].content)


class State(TypedDict, total=False):
    """`model` are the fields of the model; `how` says how it is called."""

    messages: Annotated[list[AnyMessage], add_messages]
    model: dict[str, Any]
    how: str
    times: int
    rounds: int
    left: Annotated[list[Any], lambda old, new: [*(old or []), *new]]
    done: Annotated[list[str], lambda old, new: [*(old or []), *new]]


def _prompt(config: RunnableConfig) -> list[BaseMessage]:
    return [HumanMessage(str(config["configurable"]["thread_id"]))]


def _model(state: State) -> MeteredModel:
    return MeteredModel(**state.get("model", {}))


async def call(state: State, config: RunnableConfig) -> dict[str, Any]:
    for _ in range(state.get("times", 1)):
        match state.get("how", "await"):
            case "await":
                await _model(state).ainvoke(_prompt(config))
            case "stream":
                async for _ in StreamingModel(**state.get("model", {})).astream(_prompt(config)):
                    pass
            case "in the event loop":
                _model(state).invoke(_prompt(config))
            case "wrapped":
                model = _model(state)
                await model.bind(stop=["."]).with_fallbacks([model]).ainvoke(_prompt(config))
            case "other model":
                await _model(state).bind(model="other").ainvoke(_prompt(config))
            case "two choices":
                await _model(state).bind(n=2).ainvoke(_prompt(config))
            case "to_thread":
                await asyncio.to_thread(_model(state).invoke, _prompt(config))
            case "parallel threads of a blocked event loop":
                model = _model(state)
                RunnableParallel(a=model, b=model).invoke(_prompt(config))
            case "thread":
                await _in_thread(lambda: _model(state).invoke(_prompt(config)))
            case "pool of threads":
                await asyncio.wrap_future(POOL.submit(_model(state).invoke, _prompt(config)))
            case "thread without context":
                await _in_thread(lambda: Context().run(_model(state).invoke, _prompt(config)))
            case "tool in a thread without context":
                await _in_thread(lambda: Context().run(look.invoke, {"what": "x"}))
    return {"left": [ceilings.left()]}


POOL = ThreadPoolExecutor(1)
"""Runs share it, one after another."""


async def _in_thread(function: Any) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)
    if errors:
        raise errors[0]


def call_in_sync_node(state: State, config: RunnableConfig) -> dict[str, Any]:
    _model(state).invoke(_prompt(config))
    return {"left": [ceilings.left()]}


@tool
async def look(what: str, config: RunnableConfig) -> str:
    """Looks."""
    calls[str(config["configurable"].get("thread_id"))] += 1
    return what


def _one(node: Any, name: str = "call") -> Graph:
    builder = StateGraph(State)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder.compile()


answer = _one(call)
ways = _one(call_in_sync_node)


async def think(state: State, config: RunnableConfig) -> dict[str, Any]:
    model = MeteredModel(**{"endless": True} | state.get("model", {}))
    return {"messages": [await model.ainvoke([*_prompt(config), *state.get("messages", [])])]}


def _agent() -> Graph:
    """A model that never stops calling tools."""
    builder = StateGraph(State)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode([look], handle_tool_errors=True))
    builder.add_edge(START, "think")
    builder.add_edge("think", "tools")
    builder.add_edge("tools", "think")
    return builder.compile()


agent = _agent()


async def _branch(state: State, config: RunnableConfig) -> dict[str, Any]:
    await _model(state).ainvoke(_prompt(config))
    return {"done": ["branch"]}


def _parallel() -> Graph:
    builder = StateGraph(State)
    builder.add_node("branch", _branch)
    builder.add_conditional_edges(START, lambda state: [Send("branch", state) for _ in range(state["times"])])
    return builder.compile()


parallel = _parallel()


def _rounds(state: State) -> Any:
    return END if len(state.get("done", [])) >= state["times"] else "inner"


def _inner(node: Any) -> Graph:
    builder = StateGraph(State)
    builder.add_node("inner", node)
    builder.add_edge(START, "inner")
    builder.add_conditional_edges("inner", _rounds)
    return builder.compile()


def _around(graph: Graph) -> Graph:
    builder = StateGraph(State)
    builder.add_node("outer", graph)
    builder.add_edge(START, "outer")
    return builder.compile()


async def _round(state: State) -> dict[str, Any]:
    return {"done": ["inner"]}


nested = _around(_inner(_round))

_hidden = _inner(lambda state: {"done": ["inner"]})


def _sync_outer(state: State) -> dict[str, Any]:
    """Calls a subgraph that LangGraph cannot find, synchronously."""
    return {"done": globals()["_hidden"].invoke({"times": state["times"]})["done"]}


nested_sync = _one(_sync_outer, "outer")


async def _outer_with_a_thread(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Calls a subgraph on a thread of its own: LangGraph begins it as if it were a root graph."""
    own: RunnableConfig = {"configurable": {"thread_id": "own"}}
    return {"done": (await globals()["_hidden"].ainvoke({"times": state["times"]}, own))["done"]}


async def _outer_with_a_namespace(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Calls a subgraph with a namespace that says that it is the root graph."""
    forged: RunnableConfig = {"configurable": config["configurable"] | {"checkpoint_ns": ""}}
    return {"done": (await globals()["_hidden"].ainvoke({"times": state["times"]}, forged))["done"]}


nested_on_a_thread = _one(_outer_with_a_thread, "outer")
nested_in_a_namespace = _one(_outer_with_a_namespace, "outer")


async def call_tools(state: State) -> dict[str, Any]:
    for _ in range(state["times"]):
        await look.ainvoke({"what": "x"})
    return {"done": ["round"]}


def _more_rounds(state: State) -> str:
    return END if len(state.get("done", [])) >= state.get("rounds", 1) else "call"


def _tool_loop() -> Graph:
    builder = StateGraph(State)
    builder.add_node("call", call_tools)
    builder.add_edge(START, "call")
    builder.add_conditional_edges("call", _more_rounds, ["call", END])
    return builder.compile()


tool_loop = _tool_loop()


async def call_and_ask(state: State, config: RunnableConfig) -> dict[str, Any]:
    await _model(state).ainvoke(_prompt(config))
    interrupt("more?")
    return {"left": [ceilings.left()]}


ask = _one(call_and_ask)


async def plan(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Calls the model as long as the chain may still afford it."""
    made = 0
    while (left := ceilings.left()).tokens is None or left.tokens >= 100:
        await _model(state).ainvoke(_prompt(config))
        made += 1
    return {"left": [left], "done": [str(made)]}


planner = _one(plan)


async def catch_all(state: State, config: RunnableConfig) -> dict[str, Any]:
    """Catches the exception of a ceiling, and tries again."""
    for _ in range(state["times"]):
        try:
            await _model(state).ainvoke(_prompt(config))
        except Exception:
            refused[config["configurable"]["thread_id"]] += 1
            time.sleep(0)
            await asyncio.sleep(0)
    return {}


stubborn = _one(catch_all)
