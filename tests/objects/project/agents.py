"""Agents that answer in every form there is, each with its own strategy; and one whose tool gives an artifact."""

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
from people import SCHEMA, Account, Person, Row  # type: ignore[import-not-found]

ADA = {"name": "Ada", "age": 36}


class Model(BaseChatModel):
    """Calls its last tool once; without tools it answers in JSON, as models do that know a schema."""

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
        answer = AIMessage(json.dumps(ADA))
        if self.tools and not isinstance(messages[-1], ToolMessage):
            name = getattr(self.tools[-1], "name", None) or self.tools[-1]["name"]
            args = {"name": "Ada"} if name == "look_up" else ADA
            answer = AIMessage("", tool_calls=[{"name": name, "args": args, "id": f"call-{len(messages)}"}])
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Watching(AgentMiddleware[Any, Any]):
    """Says at the start of a run what the run before has left."""

    def before_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        held = [state.get("structured_response"), *(getattr(one, "artifact", None) for one in state["messages"])]
        return {"messages": [AIMessage("found " + "; ".join(repr(one) for one in held if one is not None))]}


def answering(form: Any, *, provider: bool = False) -> Any:
    model = Model(profile={"structured_output": provider})
    return create_agent(model, tools=[], response_format=form, middleware=[Watching()])


tool_model = answering(ToolStrategy(Person))
tool_dataclass = answering(ToolStrategy(Account))
tool_typed_dict = answering(ToolStrategy(Row))
tool_json_schema = answering(ToolStrategy(SCHEMA))
tool_union = answering(ToolStrategy(Account | Person))
provider_model = answering(ProviderStrategy(Person), provider=True)
provider_dataclass = answering(ProviderStrategy(Account), provider=True)
provider_typed_dict = answering(ProviderStrategy(Row), provider=True)
provider_json_schema = answering(ProviderStrategy(SCHEMA), provider=True)
auto_model = answering(AutoStrategy(Person))
plain_model = answering(Person)
plain_model_of_provider = answering(Person, provider=True)
plain_dataclass = answering(Account)
plain_typed_dict = answering(Row)
plain_json_schema = answering(SCHEMA)


@tool(response_format="content_and_artifact")
def look_up(name: str) -> tuple[str, Any]:
    """Find somebody."""
    return "found", {"person": Person(name=name, age=36), "accounts": [Account(name, 36)]}


with_artifact = create_agent(Model(), tools=[look_up], middleware=[Watching()])
