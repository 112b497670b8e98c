"""Graphs that ask in each shape, as agents do: LangChain's middleware in both modes, the agent inbox, any value."""

from __future__ import annotations

from typing import Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

CALLS = (
    {"name": "refund", "args": {"order_id": "A-1", "amount": 12.5}, "id": "call-refund"},
    {"name": "mail", "args": {"to": "ann@example.org", "text": "Your refund is on its way."}, "id": "call-mail"},
)
REQUEST = {
    "action_request": {"action": "refund", "args": {"order_id": "A-1", "amount": 12.5}},
    "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True},
    "description": "Refund 12.50 for order A-1",
}


@tool
def refund(order_id: str, amount: float) -> str:
    """Refunds an order."""
    return f"refunded {amount} for {order_id}"


@tool
def mail(to: str, text: str) -> str:
    """Sends a mail."""
    return f"mailed {to}: {text}"


class CallingModel(BaseChatModel):
    """Calls both tools, then repeats their results."""

    @property
    def _llm_type(self) -> str:
        return "calling"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        results = [str(message.content) for message in messages if message.type == "tool"]
        message = AIMessage(" | ".join(sorted(results))) if results else AIMessage("", tool_calls=list(CALLS))
        return ChatResult(generations=[ChatGeneration(message=message)])


def _agent(mode: Literal["batched", "per_call"]) -> Any:
    middleware: Any = HumanInTheLoopMiddleware(
        {"refund": True, "mail": {"allowed_decisions": ["approve", "reject"]}}, interrupt_mode=mode
    )
    return create_agent(CallingModel(), [refund, mail], middleware=[middleware])


class Asked(TypedDict, total=False):
    """A topic, and the answer as the graph received it."""

    topic: str
    answer: Any


class Amount(TypedDict):
    """The schema of the answer to the free question."""

    amount: float


async def ask_inbox(state: Asked) -> Asked:
    return {"answer": interrupt([REQUEST])[0]}


async def ask_amount(state: Asked) -> Asked:
    return {"answer": interrupt({"question": "How much?"}, response_schema=Amount)}


batched = _agent("batched")
per_call = _agent("per_call")
inbox = StateGraph(Asked).add_node("ask", ask_inbox).add_edge(START, "ask").compile()
free = StateGraph(Asked).add_node("ask", ask_amount).add_edge(START, "ask").compile()
