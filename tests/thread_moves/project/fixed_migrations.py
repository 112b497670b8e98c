"""The migrations of the next release, which also carry names without a space."""

from __future__ import annotations

from slipway.migrations import StoredState, migration


@migration(from_version="1", to_version="2")
def split_name(stored: StoredState) -> StoredState:
    first, _, last = stored.values.pop("name").partition(" ")
    stored.values |= {"first_name": first, "last_name": last}
    stored.rename_node("review", "human_review")
    return stored
