"""A graph that calls a model as long as it may, and notes each call in a file that no database rolls back."""

import os
import signal
import time
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    """`order` names the file's lines; in each of the calls in `kills`, the process is killed. `blocks`: the calls are
    synchronous, in the event loop. `gate`: the file for which a call waits."""

    order: str
    kills: list[int]
    blocks: bool
    gate: str


class NotedModel(BaseChatModel):
    """A call uses 10 input tokens and 20 output tokens."""

    order: str
    kills: list[int]
    gate: str = ""
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
        while self.gate and not Path(self.gate).exists():
            time.sleep(0.01)  # a slow provider, for which the code blocks the event loop
        usage: Any = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("…", usage_metadata=usage))])


async def think(state: State) -> State:
    model = NotedModel(order=state["order"], kills=state["kills"])
    while True:
        if state.get("blocks"):
            model.invoke("Go on. " * 5)
        else:
            await model.ainvoke("Go on. " * 5)


thinker = StateGraph(State).add_node("think", think).add_edge(START, "think").compile()


async def think_once(state: State) -> State:
    NotedModel(order=state["order"], kills=[], gate=state["gate"]).invoke("Go on. " * 5)
    return {}


one_thought = StateGraph(State).add_node("think", think_once).add_edge(START, "think").compile()
