"""The classes of the state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Order:
    """A checkpoint stores the name of this class, and the object is rebuilt with it."""

    number: int
