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
from tests.attacks.test_entry_points import (
    ENTRY_POINTS,
    DueCron,
    EntryPoint,
    Scenario,
    SocketCommand,
    StoredData,
    scenario,
    stored_effects,
)

__all__ = ["admin", "ann", "due_times", "graphs", "rules", "scenario", "served", "services", "settings"]

PARTS = 12
"""The entry points are divided among so many tests, so that each test is short."""

WITHOUT_EFFECT = {
    ("assistants:read", "metadata"): "nothing is stored; the filter selects the assistants that can be read",
}
"""Members that exist only for handlers that write metadata for every operation."""
READ_AFTER_CHANGE = {
    "PATCH /assistants/{assistant_id}",
    "POST /assistants/{assistant_id}/latest",
    "PATCH /threads/{thread_id}",
    "PATCH /threads/{thread_id} with a ttl",
    "PATCH /threads/{thread_id}/state",
    "PATCH /runs/crons/{cron_id}",
    "PATCH /runs/crons/{cron_id} that disables it",
}
"""They authorize reading after the change, and respond without a body if that fails."""
VERSION_ROUTES = {"POST /assistants/{assistant_id}/latest"}
CANCELS = {
    "POST /threads/{thread_id}/runs/{run_id}/cancel",
    "POST /threads/{thread_id}/runs interrupting another",
    "POST /threads/{thread_id}/runs rolling another back",
}
"""Entry points that store no `metadata`."""


def has_effect(entry_point: EntryPoint, operation: str, member: str) -> bool:
    """Whether the entry point uses this member of the value."""
    if (operation, member) in WITHOUT_EFFECT:
        return False
    if operation.endswith(":read") and entry_point.name in READ_AFTER_CHANGE:
        return False
    if member != "metadata":
        return True
    if operation == "threads:update":
        return not any(entry_point.name.startswith(name) for name in CANCELS)
    return not (operation == "assistants:update" and entry_point.name in VERSION_ROUTES)


async def operations_and_members(scenario: Scenario, entry_point: EntryPoint) -> dict[str, set[str]]:
    """The operations that the entry point authorizes, with the members of their values. Then builds the records again,
    if the call changed one."""
    before = await StoredData.read(scenario.services)
    scenario.rules.calls.clear()
    await entry_point.call(scenario)
    found: dict[str, set[str]] = defaultdict(set)
    for _, operation, value in scenario.rules.calls:
        found[operation] |= value.keys()
    if stored_effects(before, await StoredData.read(scenario.services)):
        await scenario.build()
    return found


def _write_object(member: str, value: dict[str, Any]) -> None:
    value[member] = object()


def is_server_error(entry_point: EntryPoint, status: int) -> bool:
    """Whether the response is a server error."""
    if isinstance(entry_point, DueCron):
        return status == 403
    return status == 500 or (
        isinstance(entry_point, SocketCommand) and status == 403
    )  # an error frame, or a closed WebSocket


@pytest.mark.parametrize("part", range(PARTS))
async def test_no_entry_point_uses_an_invalid_handler_value(scenario: Scenario, part: int) -> None:
    ignored: dict[tuple[str, ...], object] = {}
    for entry_point in ENTRY_POINTS[part::PARTS]:
        authorized = await operations_and_members(scenario, entry_point)
        before = await StoredData.read(scenario.services)
        for operation, members in authorized.items():
            for member in sorted(members):
                if not has_effect(entry_point, operation, member):
                    continue
                scenario.rules.changes = {operation: partial(_write_object, member)}
                status, _ = await entry_point.call(scenario)
                scenario.rules.changes = {}
                if not is_server_error(entry_point, status):
                    ignored[entry_point.name, operation, member] = status
        if effects := stored_effects(before, await StoredData.read(scenario.services)):
            ignored[entry_point.name, "", ""] = effects
            await scenario.build()
    assert ignored == {}
