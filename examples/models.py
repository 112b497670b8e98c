"""The chat model that SLIPWAY_MODEL names, if it names one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def model_name() -> str | None:
    """Such as `openai:gpt-4.1-mini`; None when no model is set. Read at run time, not at import."""
    return (os.environ.get("SLIPWAY_MODEL") or "").strip() or None


def open_model(name: str) -> BaseChatModel:
    """Creates the model with LangChain's `init_chat_model`, which blocks. Raises ImportError or ValueError when that
    fails."""
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise ImportError(
            f"SLIPWAY_MODEL is {name!r}, but LangChain is not installed: pip install langchain"
        ) from error

    model: BaseChatModel = init_chat_model(name)
    return model
