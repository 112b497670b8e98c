"""Agents with every format and strategy of structured responses, and one whose tool returns an artifact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.runtime import Runtime
from response_formats import SCHEMA, Account, Person, Row  # type: ignore[import-not-found]

ADA = {"name": "Ada", "age": 36}


class Model(BaseChatModel):
    """A chat model that calls its last tool once. Without tools it replies with JSON, as a model with a schema does."""

    tools: tuple[Any, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.model_copy(update={"tools": (*tools,)})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply = AIMessage(json.dumps(ADA))
        if self.tools and not isinstance(messages[-1], ToolMessage):
            name = getattr(self.tools[-1], "name", None) or self.tools[-1]["name"]
            args = {"name": "Ada"} if name == "look_up" else ADA
            reply = AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{len(messages)}"}])
        return ChatResult(generations=[ChatGeneration(message=reply)])


class StateReporter(AgentMiddleware[Any, Any]):
    """Appends a message at the start of each run that shows the objects of the run before."""

    def before_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        objects = [state.get("structured_response"), *(getattr(one, "artifact", None) for one in state["messages"])]
        return {"messages": [AIMessage("found " + "; ".join(repr(one) for one in objects if one is not None))]}


def agent_with(form: Any, *, provider: bool = False) -> Any:
    model = Model(profile={"structured_output": provider})
    return create_agent(model, tools=[], response_format=form, middleware=[StateReporter()])


tool_model = agent_with(ToolStrategy(Person))
tool_dataclass = agent_with(ToolStrategy(Account))
tool_typed_dict = agent_with(ToolStrategy(Row))
tool_json_schema = agent_with(ToolStrategy(SCHEMA))
tool_union = agent_with(ToolStrategy(Account | Person))
provider_model = agent_with(ProviderStrategy(Person), provider=True)
provider_dataclass = agent_with(ProviderStrategy(Account), provider=True)
provider_typed_dict = agent_with(ProviderStrategy(Row), provider=True)
provider_json_schema = agent_with(ProviderStrategy(SCHEMA), provider=True)
auto_model = agent_with(AutoStrategy(Person))
plain_model = agent_with(Person)
plain_model_of_provider = agent_with(Person, provider=True)
plain_dataclass = agent_with(Account)
plain_typed_dict = agent_with(Row)
plain_json_schema = agent_with(SCHEMA)


@tool(response_format="content_and_artifact")
def look_up(name: str) -> tuple[str, Any]:
    """Find a person."""
    return "found", {"person": Person(name=name, age=36), "accounts": [Account(name, 36)]}


with_artifact = create_agent(Model(), tools=[look_up], middleware=[StateReporter()])
