"""Every entry point uses the value that an authorize handler returns.

Each entry point of `test_entry_points` is called while a handler writes an invalid value into one member after another.
An entry point that ignored the change would do what its client requested. It must do nothing and respond with a server
error.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

import pytest

from tests.attacks.rules_server import (
    admin,
    ann,
    due_times,
    graphs,
    rules,
    served,
    services,
    settings,
)
from tests.attacks.test_entry_points import DOORS, Door, Due, Said, Stage, World, done, stage

__all__ = ["admin", "ann", "due_times", "graphs", "rules", "served", "services", "settings", "stage"]

PARTS = 12
"""Tests that the doors are shared out among: each stays short."""

WITHOUT_EFFECT = {
    ("assistants:read", "metadata"): "nothing is stored; which assistants may be read is what the filter says",
}
"""Members that are shown for handlers which write into them whatever is done."""
CHANGING = {
    "PATCH /assistants/{assistant_id}",
    "POST /assistants/{assistant_id}/latest",
    "PATCH /threads/{thread_id}",
    "PATCH /threads/{thread_id} for a time",
    "PATCH /threads/{thread_id}/state",
    "PATCH /runs/crons/{cron_id}",
    "PATCH /runs/crons/{cron_id} that stops it",
}
"""They ask for reading once the change is made, and answer without a body when that fails."""
CHOOSING = {"POST /assistants/{assistant_id}/latest"}
CANCELLING = {
    "POST /threads/{thread_id}/runs/{run_id}/cancel",
    "POST /threads/{thread_id}/runs instead of another",
    "POST /threads/{thread_id}/runs undoing another",
}
"""Doors whose `metadata` has nothing to be stored in."""


def has_effect(door: Door, operation: str, member: str) -> bool:
    """Whether what the handler leaves there is used."""
    if (operation, member) in WITHOUT_EFFECT:
        return False
    if operation.endswith(":read") and door.name in CHANGING:
        return False
    if member != "metadata":
        return True
    if operation == "threads:update":
        return not any(door.name.startswith(name) for name in CANCELLING)
    return not (operation == "assistants:update" and door.name in CHOOSING)


async def shown_at(stage: Stage, door: Door) -> dict[str, set[str]]:
    """The operations that the door asks for, and the members of their values. What it used up is there again."""
    before = await World.read(stage.services)
    stage.rules.asked.clear()
    await door.attempt(stage)
    found: dict[str, set[str]] = defaultdict(set)
    for _, operation, value in stage.rules.asked:
        found[operation] |= value.keys()
    if done(before, await World.read(stage.services)):
        await stage.build()
    return found


def _spoil(member: str, value: dict[str, Any]) -> None:
    """What a handler leaves that nothing can be made of."""
    value[member] = object()


def is_refused(door: Door, status: int) -> bool:
    """Whether the answer says that the server is at fault."""
    if isinstance(door, Due):
        return status == 403
    return status == 500 or (isinstance(door, Said) and status == 403)  # a command's error, or the closed socket's


@pytest.mark.parametrize("part", range(PARTS))
async def test_no_entry_point_uses_an_invalid_handler_value(stage: Stage, part: int) -> None:
    ignored: dict[tuple[str, ...], object] = {}
    for door in DOORS[part::PARTS]:
        shown = await shown_at(stage, door)
        before = await World.read(stage.services)
        for operation, members in shown.items():
            for member in sorted(members):
                if not has_effect(door, operation, member):
                    continue
                stage.rules.changes = {operation: partial(_spoil, member)}
                status, _ = await door.attempt(stage)
                stage.rules.changes = {}
                if not is_refused(door, status):
                    ignored[door.name, operation, member] = status
        if more := done(before, await World.read(stage.services)):
            ignored[door.name, "", ""] = more
            await stage.build()
    assert ignored == {}
