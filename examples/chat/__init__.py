"""A conversation that streams its tokens, from the model in SLIPWAY_MODEL or from a built-in model without a key."""

from examples.chat.graph import graph

__all__ = ["graph"]
