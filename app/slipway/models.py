"""Chat models by routes, in the project's code: the next model of the route is used when one fails.

    from slipway.models import chat_model

    async def answer(state):
        return {"messages": [await chat_model().ainvoke(state["messages"])]}

`docs/models.md` describes routes, and when the next model is used.
"""

from __future__ import annotations

from slipway.model_routes.chat_model import RoutedChatModel, chat_model
from slipway.model_routes.current_routes import model_names

__all__ = ["RoutedChatModel", "chat_model", "model_names"]
