"""Imported by a node only while it runs."""

from dataclasses import dataclass


@dataclass
class Late:
    """Made in a node."""

    number: int
