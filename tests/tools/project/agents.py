"""Agents of LangChain, with a model that calls the tools that the user names."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from project_tools import (  # type: ignore[import-not-found]
    issue_refund,
    ledger,
    lookup_customer,
    place_order,
    send_mail,
    unregistered,
)

from slipway.tool_middleware import ToolPolicyMiddleware

offered: list[list[str]] = []
"""The names of the tools that the model was offered, each time."""


class ScriptedModel(BaseChatModel):
    """Calls the tools of the user's message, `[[name, args], …]`, all at once, and then says how they ended."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        offered.append([tool.name for tool in tools if isinstance(tool, BaseTool)])
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        last = messages[-1]
        message = AIMessage("done")
        if isinstance(last, HumanMessage):
            calls = [
                {"name": name, "args": args, "id": f"call_{number}", "type": "tool_call"}
                for number, (name, args) in enumerate(json.loads(str(last.content)))
            ]
            message = AIMessage("", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])


TOOLS: list[Any] = [issue_refund, send_mail, lookup_customer, place_order, ledger, unregistered]

agent = create_agent(ScriptedModel(), TOOLS, middleware=[ToolPolicyMiddleware()])
plain_agent = create_agent(ScriptedModel(), TOOLS)
