"""Carries threads from version 1 to version 2. A name without a space cannot be migrated."""

from __future__ import annotations

from slipway.migrations import StoredState, migration


@migration(from_version="1", to_version="2")
def split_name(stored: StoredState) -> StoredState:
    first, last = stored.values.pop("name").split(" ")
    stored.values |= {"first_name": first, "last_name": last}
    stored.rename_node("review", "human_review")
    return stored
