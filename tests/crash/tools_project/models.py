"""A graph that calls a model as long as it may, and notes each call in a file that no database rolls back."""

import os
import signal
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    """`order` names the file's lines; in each of the calls in `kills`, the process is killed."""

    order: str
    kills: list[int]


class NotedModel(BaseChatModel):
    """A call uses 10 input tokens and 20 output tokens."""

    order: str
    kills: list[int]
    max_tokens: int = 20

    @property
    def _llm_type(self) -> str:
        return "noted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_model_name": "noted", "ls_max_tokens": self.max_tokens}

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        file = Path(f"{os.environ['EFFECTS']}.calls")
        with file.open("a") as calls:
            calls.write(f"{self.order}\n")
        if file.read_text().splitlines().count(self.order) in self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        usage: Any = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("…", usage_metadata=usage))])


async def think(state: State) -> State:
    model = NotedModel(order=state["order"], kills=state["kills"])
    while True:
        await model.ainvoke("Go on. " * 5)


thinker = StateGraph(State).add_node("think", think).add_edge(START, "think").compile()
