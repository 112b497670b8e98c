"""From version 1 to version 2 of `desk`."""

from __future__ import annotations

from slipway.migrations import StoredState, migration


@migration(from_version="1", to_version="2")
def name_the_node(stored: StoredState) -> StoredState:
    """The node that asks has another name."""
    stored.rename_node("ask", "ask_person")
    return stored
