"""The version of its graph to which a thread is pinned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PIN_FIELDS: Final = ("version_graph", "version", "schema")
"""The fields of the record of a thread that say how it is pinned, in the order of `pin_of`."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The version to which a thread is pinned."""

    version: str
    """Empty if it is not known."""
    schema: str = ""
    """The first 16 hex digits of its fingerprint. Empty if it is not known."""


def pin_of(graph_id: str | None, pinned_graph: bytes | None, version: bytes | None, schema: bytes | None) -> Pin:
    """How `graph_id` sees the pin that is stored: a thread that runs of several graphs share is pinned by the one that
    was claimed last, and to the others it has no pin."""
    if pinned_graph is not None and pinned_graph.decode() != graph_id:
        return Pin("")
    return Pin((version or b"").decode(), (schema or b"").decode())
