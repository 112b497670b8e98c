"""From version 1 to version 2 of `moving`."""

from __future__ import annotations

from slipway.migrations import StoredState, migration


@migration(from_version="1", to_version="2")
def rename(stored: StoredState) -> StoredState:
    stored.rename_node("item", "line")
    return stored
