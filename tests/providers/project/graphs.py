"""Graphs that call the models of OpenAI and Anthropic by LangChain's packages."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel

from slipway.graphs.interface import Graph
from slipway.models import chat_model


class Answer(BaseModel):
    """An answer."""

    text: str


class State(TypedDict, total=False):
    """`model` are the arguments of `init_chat_model`, `bound` those of the call, `how` says how it is called."""

    messages: Annotated[list[AnyMessage], add_messages]
    model: dict[str, Any]
    bound: dict[str, Any]
    how: str
    output: Any


def _model(state: State) -> Any:
    model: BaseChatModel = init_chat_model(**state["model"])
    return model.bind(**state["bound"]) if state.get("bound") else model


async def call(state: State) -> dict[str, Any]:
    model = _model(state)
    output: Any
    match state.get("how", "ainvoke"):
        case "ainvoke":
            output = (await model.ainvoke("Hi")).text
        case "invoke":
            output = model.invoke("Hi").text
        case "invoke in a thread":
            output = (await asyncio.to_thread(model.invoke, "Hi")).text
        case "astream":
            output = "".join([part.text async for part in model.astream("Hi")])
        case "stream":
            output = "".join([part.text for part in model.stream("Hi")])
        case "batch":
            output = model.batch(["Hi"])[0].text
        case "abatch":
            output = (await model.abatch(["Hi"]))[0].text
        case "structured":
            output = (await model.with_structured_output(Answer).ainvoke("Hi")).model_dump()
        case "first part":
            async for part in model.astream("Hi"):
                if part.text:
                    break
            output = part.text
    return {"output": output}


async def call_route(state: State) -> dict[str, Any]:
    return {"messages": [await chat_model().ainvoke(state["messages"])]}


@tool
async def look(what: str) -> str:
    """Looks."""
    return what


def _one(node: Any) -> Graph:
    builder = StateGraph(State)
    builder.add_node("call", node)
    builder.add_edge(START, "call")
    return builder.compile()


ask, route = _one(call), _one(call_route)


async def call_agent(state: State) -> dict[str, Any]:
    called = create_agent(_model(state), [look])
    return {"messages": (await called.ainvoke({"messages": [HumanMessage("Hi")]}))["messages"]}


agent = _one(call_agent)
