"""What an authorize handler leaves in a value is what is done, by whatever door.

Every door of `test_doors` is tried with a handler that leaves something impossible in one member after another. A door
that does not look at what the handler left would do what its client asked for: here it must do nothing, and say that
the server is at fault. What the handlers of each door are shown is in `MEMBERS`, so a new member fails here first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.access.permissions import Operation
from app.settings import Settings
from tests.attacks.ruled_server import (
    NEVER,
    RUN,
    admin,
    ann,
    graphs,
    made,
    rules,
    served,
    services,
    settings,
    time,
)
from tests.attacks.test_doors import DOORS, OPERATIONS, Door, Due, Said, Stage, World, done, stage
from tests.working import working
from workers.registry import Registry

__all__ = ["admin", "ann", "graphs", "rules", "served", "services", "settings", "stage", "time"]

_RUN = {
    "assistant_id",
    "thread_id",
    "run_id",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "prevent_insert_if_inflight",
    "if_not_exists",
    "after_seconds",
}
_ASSISTANT = {"assistant_id", "graph_id", "name", "description", "config", "context", "metadata"}
_DUE = {"schedule", "timezone", "end_time", "enabled", "on_run_completed", "payload", "metadata"}

MEMBERS: dict[Operation, set[str]] = {
    "assistants:create": _ASSISTANT | {"if_exists"},
    "assistants:read": {"assistant_id", "metadata"},
    "assistants:update": _ASSISTANT | {"version"},
    "assistants:delete": {"assistant_id"},
    "assistants:search": {"graph_id", "metadata", "limit", "offset"},
    "threads:create": {"thread_id", "metadata", "if_exists"},
    "threads:read": {"thread_id", "run_id"},
    "threads:update": {"thread_id", "run_id", "metadata", "action"},
    "threads:delete": {"thread_id", "run_id"},
    "threads:search": {"metadata", "values", "status", "ids", "thread_id", "limit", "offset"},
    "threads:create_run": _RUN,
    "crons:create": _DUE | {"cron_id", "thread_id", "user_id"},
    "crons:read": {"cron_id"},
    "crons:update": _DUE | {"cron_id"},
    "crons:delete": {"cron_id"},
    "crons:search": {"assistant_id", "thread_id", "metadata", "limit", "offset"},
    "store:put": {"namespace", "key", "value", "index"},
    "store:get": {"namespace", "key"},
    "store:search": {"namespace", "filter", "limit", "offset", "query"},
    "store:delete": {"namespace", "key"},
    "store:list_namespaces": {"namespace", "suffix", "max_depth", "limit", "offset"},
}
"""What the handler of each operation may be shown."""

DOCS = Path(__file__).parents[2] / "docs" / "auth-and-http.md"
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


def is_refused(door: Door, status: int) -> bool:
    """Whether the answer says that the server is at fault."""
    if isinstance(door, Due):
        return status == 403
    return status == 500 or (isinstance(door, Said) and status == 403)  # a command's error, or the closed socket's


@pytest.mark.parametrize("part", range(PARTS))
async def test_what_cannot_be_is_done_by_no_door(stage: Stage, part: int) -> None:
    unknown: dict[tuple[str, ...], set[str]] = {}
    ignored: dict[tuple[str, ...], object] = {}
    for door in DOORS[part::PARTS]:
        shown = await shown_at(stage, door)
        before = await World.read(stage.services)
        for operation, members in shown.items():
            if more := members - MEMBERS[operation]:  # type: ignore[index]
                unknown[door.name, operation] = more
            for member in sorted(members):
                if not has_effect(door, operation, member):
                    continue
                stage.rules.left = {operation: {member: object()}}
                status, _ = await door.attempt(stage)
                stage.rules.left = {}
                if not is_refused(door, status):
                    ignored[door.name, operation, member] = status
        if more := done(before, await World.read(stage.services)):
            ignored[door.name, "", ""] = more
            await stage.build()
    assert (unknown, ignored) == ({}, {})


def test_the_docs_name_every_member() -> None:
    table = re.findall(r"^\| `([a-z_]+:[a-z_]+)` \| (.*) \|$", DOCS.read_text(), re.M)
    assert {operation: set(re.findall(r"`([a-z_]+)`", cells)) for operation, cells in table} == MEMBERS
    assert set(MEMBERS) == set(OPERATIONS)


async def test_changing_a_cron_forges_neither_its_owner_nor_its_schedule(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    cron = await made(ann, "/runs/crons", RUN | {"schedule": NEVER, "metadata": {"owner": "ann", "note": 1}})
    rules.written = {"crons:update": {"owner": "ann"}}
    rules.left = {"crons:update": {"schedule": "0 9 * * *"}}
    forged = {"metadata": {"owner": "bob"}, "schedule": "* * * * *", "input": {"text": "new"}}
    assert (await ann.patch(f"/runs/crons/{cron['cron_id']}", json=forged)).status_code == 200
    rules.left = {"crons:update": {"enabled": False, "payload": {"input": {"text": "left"}}}}
    assert (await ann.patch(f"/runs/crons/{cron['cron_id']}", json={"timezone": "Europe/Berlin"})).status_code == 200
    (found,) = await made(admin, "/runs/crons/search", {})
    assert (found["metadata"], found["schedule"]) == ({"owner": "ann", "note": 1}, "0 9 * * *")
    assert (found["enabled"], found["payload"]["input"], found["timezone"]) == (
        False,
        {"text": "left"},
        "Europe/Berlin",
    )


async def test_stopping_a_cron_keeps_what_the_handler_writes(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    cron = await made(ann, "/runs/crons", RUN | {"schedule": NEVER})
    rules.written, rules.refused = {"crons:update": {"stopped_by": "ann"}}, {"threads:create_run"}
    assert (await ann.patch(f"/runs/crons/{cron['cron_id']}", json={"enabled": False})).status_code == 200
    (found,) = await made(admin, "/runs/crons/search", {})
    assert (found["enabled"], found["metadata"]) == (False, {"stopped_by": "ann"})


async def test_a_search_is_the_handlers(
    ann: httpx.AsyncClient, rules: Any, settings: Settings, graphs: Registry
) -> None:
    threads = [await made(ann, "/threads", {"metadata": {"number": number}}) for number in range(3)]
    ids = [thread["thread_id"] for thread in threads]
    async with working(settings, graphs):
        await made(ann, f"/threads/{ids[0]}/runs/wait", RUN | {"input": {"text": "hello"}})
        await made(ann, f"/threads/{ids[1]}/runs/wait", RUN | {"assistant_id": "asking"})

    async def found(**left: Any) -> set[str]:
        rules.left = {"threads:search": left}
        shown = await made(ann, "/threads/search", {"ids": ids[:2]})
        return {thread["thread_id"] for thread in shown}

    assert await found() == set(ids[:2])
    assert await found(ids=[UUID(ids[2])]) == {ids[2]}
    assert await found(thread_id=UUID(ids[1])) == {ids[1]}
    assert await found(thread_id=UUID(ids[2])) == set()
    assert await found(values={"text": "hello"}) == {ids[0]}
    assert await found(status="interrupted") == {ids[1]}
    assert await found(metadata={"number": 1}) == {ids[1]}
    assert await found(limit=1, offset=1) < set(ids[:2])
    rules.left = {"threads:search": {"ids": [ids[2]], "status": None}}
    assert await made(ann, "/threads/count", {"status": "idle"}) == 1
    rules.left = {"threads:search": {"status": "error"}}
    assert (await ann.get(f"/threads/{ids[0]}/runs")).json() == []
    rules.left = {"threads:search": {"metadata": {"number": 5}}}
    assert (await ann.get(f"/threads/{ids[0]}/runs")).status_code == 404


async def test_a_run_is_made_as_the_handler_leaves_it(
    ann: httpx.AsyncClient, admin: httpx.AsyncClient, rules: Any
) -> None:
    thread = (await made(ann, "/threads", {}))["thread_id"]
    body = RUN | {"after_seconds": 3600, "config": {"tags": ["a"]}}
    first = await made(ann, f"/threads/{thread}/runs", body)
    kwargs = dict(first["kwargs"])
    config = {"tags": ["left"], "configurable": {"ceilings": {"max_steps": 3}, "priority": "low"}}
    kwargs |= {"input": {"text": "left"}, "config": config, "webhook": None}
    rules.left = {"threads:create_run": {"kwargs": kwargs, "metadata": {"owner": "ann"}, "after_seconds": 7200}}
    run = await made(ann, f"/threads/{thread}/runs", body)
    assert (run["kwargs"]["input"], run["metadata"]["owner"]) == ({"text": "left"}, "ann")
    assert (run["kwargs"]["config"]["tags"], run["ceilings"]["max_steps"]) == (["left"], 3)
    rules.left = {"threads:create_run": {"prevent_insert_if_inflight": True}}
    assert (await ann.post(f"/threads/{thread}/runs", json=body)).status_code == 409
    rules.left = {"threads:create_run": {"kwargs": kwargs | {"webhook": "ftp://elsewhere"}}}
    assert (await ann.post(f"/threads/{thread}/runs", json=body)).status_code == 500


async def test_what_is_made_has_the_id_and_the_metadata_of_the_handler(ann: httpx.AsyncClient, rules: Any) -> None:
    for operation, path, name, body in (
        ("threads:create", "/threads", "thread_id", {}),
        ("assistants:create", "/assistants", "assistant_id", {"graph_id": "greet"}),
        ("crons:create", "/runs/crons", "cron_id", RUN | {"schedule": NEVER}),
    ):
        ident = uuid4()
        rules.left = {operation: {name: ident, "metadata": {"owner": "left"}}}
        new = await made(ann, path, body)
        assert (new[name], new["metadata"]) == (str(ident), {"owner": "left"}), path
