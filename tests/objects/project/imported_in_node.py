"""A module that only a node imports, while it runs."""

from dataclasses import dataclass


@dataclass
class ImportedInNode:
    number: int
