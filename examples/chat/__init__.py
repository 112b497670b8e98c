"""A conversation that streams: by the model that SLIPWAY_MODEL names, or by a built-in one that needs no key."""

from examples.chat.graph import graph

__all__ = ["graph"]
