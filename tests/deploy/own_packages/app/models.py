"""A class that states hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Order:
    """Restored from checkpoints as this class, by its module's name."""

    number: int
