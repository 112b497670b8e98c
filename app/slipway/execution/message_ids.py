"""Gives every chunk of a chat model's message the id of its message.

`model.astream` does that itself before it reports a chunk. `model.astream_events(version="v3")` hands the callbacks to
the provider's code, which reports chunks that have no id yet. LangGraph then gives each chunk an id of its own, and
clients take every word for a message.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs

_PREFIX = "lc_run-"
"""LangChain's own: what is before the run's id in the id of a message that a provider gave none."""


class MessageIds(BaseCallbackHandler):
    """Comes before LangGraph's handler, which sends what it gets."""

    run_inline = True
    ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = ignore_retry = True

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Nothing: without this LangChain reports the prompt as text."""

    def on_llm_new_token(self, token: str | list[Any], *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        """Name the message that the chunk is a part of."""
        if isinstance(chunk, ChatGenerationChunk) and chunk.message.id is None:
            chunk.message.id = f"{_PREFIX}-{run_id}"


def with_message_ids(config: RunnableConfig) -> RunnableConfig:
    """`config` for a run that streams messages."""
    return merge_configs(config, {"callbacks": [MessageIds()]})
