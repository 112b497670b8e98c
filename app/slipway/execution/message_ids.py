"""Sets the id of the message on every chunk that a chat model streams.

`model.astream` sets it itself before it passes a chunk to the callbacks. `model.astream_events(version="v3")` passes
the callbacks to the provider's code, whose chunks have no id. LangGraph then assigns a different id to each chunk, and
clients display each chunk as a message.
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
"""LangChain's prefix of the id of a message whose provider set no id. A run id follows."""


class MessageIds(BaseCallbackHandler):
    """The callback handler. It must be called before LangGraph's handler, which streams the chunks."""

    run_inline = True
    ignore_chain = ignore_agent = ignore_retriever = ignore_custom_event = ignore_retry = True

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Does nothing. Without this method, LangChain would convert the prompt to text and call `on_llm_start`."""

    def on_llm_new_token(self, token: str | list[Any], *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        if isinstance(chunk, ChatGenerationChunk) and chunk.message.id is None:
            chunk.message.id = f"{_PREFIX}-{run_id}"


def with_message_ids(config: RunnableConfig) -> RunnableConfig:
    """Returns `config` with the callback handler that gives streamed messages their ids."""
    return merge_configs(config, {"callbacks": [MessageIds()]})
