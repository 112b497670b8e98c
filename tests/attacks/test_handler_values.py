"""What an authorize handler writes into `value` is what is stored, searched for or used; what cannot be is an error.

`EFFECTS` has one row for each member of each kind of value: what a handler writes, and where it shows. A member without
a row fails the test, and so does a route that shows a handler a value of another shape.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk import Auth

from slipway.access.auth_file import AuthFile
from slipway.access.handler_values.all_values import VALUES
from slipway.access.handler_values.assistants import (
    AssistantsCount,
    AssistantsCreate,
    AssistantsDelete,
    AssistantsRead,
    AssistantsSearch,
    AssistantsSetVersion,
    AssistantsUpdate,
)
from slipway.access.handler_values.base import HandlerValue
from slipway.access.handler_values.crons import (
    CronsCount,
    CronsCreate,
    CronsDelete,
    CronsRead,
    CronsSearch,
    CronsUpdate,
)
from slipway.access.handler_values.runs import RunsCreate
from slipway.access.handler_values.store import StoreDelete, StoreGet, StoreListNamespaces, StorePut, StoreSearch
from slipway.access.handler_values.threads import (
    BusyThreadCancel,
    RunCancel,
    RunsCancel,
    RunSelection,
    RunsSearch,
    StateWrite,
    ThreadCopy,
    ThreadCreateForRun,
    ThreadsCount,
    ThreadsCreate,
    ThreadsDelete,
    ThreadsRead,
    ThreadsSearch,
    ThreadsUpdate,
)
from slipway.access.permissions import Permissions
from slipway.access.users import user_from_result
from slipway.errors import AuthBroken
from slipway.graphs.official_sections import AuthSection
from slipway.run_options import RunOptions
from tests.attacks.rows import HELD_OPEN, ROUTES, sample_of, send
from tests.attacks.rules_server import NEVER, RUN, admin, ann, graphs, made, rules, served, services, settings
from tests.auth.samples import NEW
from tests.conftest import wait_until
from tests.http.conftest import Served

__all__ = ["admin", "ann", "graphs", "rules", "served", "services", "settings"]

A, B = uuid4(), uuid4()
LATER = RUN | {"after_seconds": 3600}
KWARGS = RunOptions(
    input={"text": "hi"},
    command=None,
    config={"configurable": {}, "metadata": {}},
    context={},
    stream_mode=["values"],
    interrupt_before=None,
    interrupt_after=None,
    webhook=None,
    feedback_keys=None,
    temporary=False,
    subgraphs=False,
    resumable=False,
    checkpoint_during=True,
    durability="async",
    checkpoint=None,
    strict_resume=False,
)
CRON: dict[str, Any] = {"metadata": {"deep": [{"a": 1}]}, "payload": {"assistant_id": "greet"}, "end_time": None}
PAGE: dict[str, Any] = {"limit": 10, "offset": 0}
THREAD: dict[str, Any] = {"thread_id": A, "metadata": {"deep": [{"a": 1}]}, "if_exists": "raise"}
EXAMPLES: dict[type[HandlerValue], HandlerValue] = {
    type(each): each
    for each in (
        ThreadsCreate(**THREAD),
        ThreadCreateForRun(**THREAD),
        ThreadCopy(**THREAD),
        ThreadsRead(thread_id=A, run_id=B),
        ThreadsUpdate(thread_id=A, metadata={"deep": [{"a": 1}]}),
        StateWrite(thread_id=A),
        RunsCancel(thread_id=A, action="interrupt", metadata=RunSelection(run_ids=[B], status=None)),
        RunCancel(thread_id=A, action="interrupt", metadata=RunSelection(run_ids=[B], status=None)),
        BusyThreadCancel(thread_id=A, action="interrupt", metadata=RunSelection(run_ids=None, status="all")),
        ThreadsDelete(thread_id=A, run_id=B),
        ThreadsSearch(metadata={"deep": [{"a": 1}]}, values={}, status=None, ids=[A], **PAGE),
        ThreadsCount(metadata={"deep": [{"a": 1}]}, values={}, status=None),
        RunsSearch(thread_id=A, metadata={"deep": [{"a": 1}]}, status=None, **PAGE),
        RunsCreate(
            assistant_id=A,
            thread_id=A,
            run_id=B,
            metadata={"deep": [{"a": 1}]},
            prevent_insert_if_inflight=False,
            multitask_strategy="enqueue",
            if_not_exists="reject",
            after_seconds=0,
            kwargs=KWARGS,
        ),
        AssistantsCreate(
            assistant_id=A, graph_id="greet", name="n", if_exists="raise", metadata={"deep": [{"a": 1}]}, config={}
        ),
        AssistantsRead(assistant_id=A),
        AssistantsUpdate(assistant_id=A, graph_id=None, name=None, metadata={"deep": [{"a": 1}]}),
        AssistantsSetVersion(assistant_id=A, version=1),
        AssistantsDelete(assistant_id=A),
        AssistantsSearch(graph_id=None, metadata={"deep": [{"a": 1}]}, **PAGE),
        AssistantsCount(graph_id=None, metadata={"deep": [{"a": 1}]}),
        CronsCreate(cron_id=A, thread_id=None, user_id="ann", schedule=NEVER, **CRON),
        CronsRead(cron_id=A),
        CronsUpdate(cron_id=A, schedule=None, enabled=None, on_run_completed=None, **CRON),
        CronsDelete(cron_id=A),
        CronsSearch(assistant_id=None, thread_id=None, metadata={"deep": [{"a": 1}]}, **PAGE),
        CronsCount(assistant_id=None, thread_id=None, metadata={"deep": [{"a": 1}]}),
        StorePut(namespace=("n",), key="k", value={"deep": [{"a": 1}]}, index=None),
        StoreGet(namespace=("n",), key="k"),
        StoreDelete(namespace=("n",), key="k"),
        StoreSearch(namespace=("n",), filter={"deep": [{"a": 1}]}, query=None, **PAGE),
        StoreListNamespaces(namespace=None, suffix=None, max_depth=None, limit=10, offset=0),
    )
}
MEMBERS = [(kind, name) for kind in VALUES for name in kind.model_fields]


def test_every_kind_of_value_has_an_example() -> None:
    assert set(EXAMPLES) == set(VALUES)


def after(value: HandlerValue, change: Callable[[dict[str, Any]], object]) -> HandlerValue:
    """What a route gets when a handler does this."""
    shown = value.to_handler()
    change(shown)
    return value.from_handler(shown)


@pytest.mark.parametrize("kind", VALUES)
def test_a_handler_receives_a_copy_of_the_value(kind: type[HandlerValue]) -> None:
    value, kept = EXAMPLES[kind], copy.deepcopy(EXAMPLES[kind])
    shown = value.to_handler()
    left = value.from_handler(shown)
    for name, each in shown.items():
        if isinstance(each, dict):
            each["mark"] = 1
            for inner in each.values():
                if isinstance(inner, list):
                    inner.append("mark")
        elif isinstance(each, list):
            each.append(name)
    assert value == left == kept


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_an_invalid_change_of_a_handler_is_an_error(kind: type[HandlerValue], name: str) -> None:
    value = EXAMPLES[kind]
    for change, says in (
        (lambda shown: shown.update({name: object()}), "not JSON"),
        (lambda shown: shown.update({name: [{"neither": "this"}, 7]}), f"invalid value in {name}"),
        (lambda shown: shown.pop(name), "removed"),
        (lambda shown: shown.update({f"{name}s": 1}), f"wrote {name}s, which does not exist"),
    ):
        with pytest.raises(AuthBroken, match=says):
            after(value, change)
    if name in kind.FIXED and name not in ("version", "ttl"):
        others = {"action": "rollback", "if_exists": "do_nothing", "user_id": "bob", "limit": 5, "offset": 5}
        with pytest.raises(AuthBroken, match=f"changed {name}|invalid value in {name}"):
            after(value, lambda shown: shown.update({name: others.get(name, str(uuid4()))}))


@pytest.mark.parametrize("kind", VALUES)
def test_a_handler_can_write_an_owner_into_every_value(kind: type[HandlerValue]) -> None:
    """`value.setdefault("metadata", {})["owner"]`, which most auth files have for all operations at once."""
    left = after(EXAMPLES[kind], lambda shown: shown.setdefault("metadata", {}).update(owner="ann"))
    if "metadata" in kind.model_fields and not isinstance(EXAMPLES[kind], RunsCancel):
        assert left.model_dump()["metadata"]["owner"] == "ann"
    with pytest.raises(AuthBroken, match="metadata"):
        after(EXAMPLES[kind], lambda shown: shown.update(metadata="ann"))


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind.STORES])
def test_a_handler_cannot_write_server_metadata(kind: type[HandlerValue]) -> None:
    with pytest.raises(AuthBroken, match=r"metadata\.run_id, which only the server writes"):
        after(EXAMPLES[kind], lambda shown: shown["metadata"].update(run_id="x"))


CALLED_WITH: dict[type[HandlerValue], tuple[str, ...]] = {
    RunsCreate: ("kwargs.config.configurable", "kwargs.context"),
    AssistantsCreate: ("config.configurable", "context"),
    AssistantsUpdate: ("config.configurable", "context"),
    CronsCreate: ("payload.config.configurable", "payload.context"),
    CronsUpdate: ("payload.config.configurable", "payload.context"),
}
"""The places of a value that become what a graph is called with."""


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind in CALLED_WITH for path in CALLED_WITH[kind]])
def test_a_handler_cannot_write_another_user_for_a_graph(kind: type[HandlerValue], path: str) -> None:
    with pytest.raises(AuthBroken, match=rf"{path}\.langgraph_auth_user_id, which only the server writes"):
        after(EXAMPLES[kind], partial(write_at, path, "langgraph_auth_user_id"))


@pytest.mark.parametrize("kind", [CronsCreate, CronsUpdate])
def test_a_handler_cannot_write_server_metadata_into_a_payload(kind: type[HandlerValue]) -> None:
    with pytest.raises(AuthBroken, match=r"payload\.metadata\.run_id, which only the server writes"):
        after(EXAMPLES[kind], partial(write_at, "payload.metadata", "run_id"))


def write_at(path: str, name: str, shown: dict[str, Any]) -> None:
    """Set `name` in the object at the dotted `path`; objects on the way are made where there are none."""
    place = shown
    for part in path.split("."):
        place[part] = place.get(part) or {}
        place = place[part]
    place[name] = "x"


@pytest.mark.parametrize("temporary", [True, False])
def test_a_handler_cannot_change_whether_a_thread_is_temporary(temporary: bool) -> None:
    example = EXAMPLES[RunsCreate]
    assert isinstance(example, RunsCreate)
    value = example.model_copy(update={"kwargs": dataclasses.replace(KWARGS, temporary=temporary)})
    assert after(value, lambda shown: shown["kwargs"].update(temporary=temporary)) == value
    with pytest.raises(AuthBroken, match=r"kwargs\.temporary, which cannot be changed"):
        after(value, lambda shown: shown["kwargs"].update(temporary=not temporary))


def test_members_with_one_meaning_must_agree() -> None:
    run, cron = EXAMPLES[RunsCreate], EXAMPLES[CronsUpdate]
    left = after(run, lambda shown: shown.update(prevent_insert_if_inflight=True))
    assert isinstance(left, RunsCreate)
    assert left.multitask_strategy == "reject"
    left = after(run, lambda shown: shown["kwargs"].update(checkpoint_during=False))
    assert isinstance(left, RunsCreate)
    assert left.kwargs.durability == "exit"
    with pytest.raises(AuthBroken, match="contradict"):
        after(run, lambda shown: shown.update(prevent_insert_if_inflight=True, multitask_strategy="rollback"))
    with pytest.raises(AuthBroken, match=r"payload\.schedule to different values"):
        after(cron, lambda shown: (shown.update(schedule="1 1 1 1 1"), shown["payload"].update(schedule="2 1 1 1 1")))


# what has an effect


@dataclass(frozen=True, slots=True)
class World:
    """Two of everything: `one` is marked, `two` is not."""

    ids: dict[str, str]
    admin: httpx.AsyncClient

    def __getitem__(self, name: str) -> str:
        return self.ids[name]

    async def get(self, path: str, **query: Any) -> Any:
        """What somebody sees who is asked nothing."""
        return (await self.admin.get(path, params=query)).json()


async def a_world(admin: httpx.AsyncClient) -> World:
    """Made by somebody whom no rule concerns."""
    ids: dict[str, str] = {}
    for name, mark in (("one", {"mark": "yes"}), ("two", {"mark": "no"})):
        about = mark | ({"graph_id": "greet"} if name == "one" else {})
        thread = await made(admin, "/threads", {"metadata": about})
        ids[f"thread {name}"] = thread["thread_id"]
        if name == "one":
            await made(admin, f"/threads/{thread['thread_id']}/state", {"values": {"text": "x"}, "as_node": "say"})
        run = await made(admin, f"/threads/{thread['thread_id']}/runs", LATER | {"metadata": mark})
        ids[f"run {name}"] = run["run_id"]
        assistant = {"graph_id": "greet" if name == "one" else "asking", "metadata": mark, "name": name}
        ids[f"assistant {name}"] = (await made(admin, "/assistants", assistant))["assistant_id"]
        cron = RUN | {"assistant_id": ids[f"assistant {name}"], "schedule": NEVER, "metadata": mark}
        path = "/runs/crons" if name == "two" else f"/threads/{thread['thread_id']}/runs/crons"
        ids[f"cron {name}"] = (await made(admin, path, cron))["cron_id"]
        await admin.put("/store/items", json={"namespace": [name, "x"], "key": name, "value": mark})
    await admin.patch(f"/assistants/{ids['assistant one']}", json={"name": "newer"})
    return World(ids, admin)


@dataclass(frozen=True, slots=True)
class Effect:
    """A handler writes `to` (a function is given the world); then `shows` must be true of the answer to `method path`
    as ann sends it, or of what is stored afterwards."""

    to: Any
    request: str
    shows: Callable[[World, Any], Any]
    body: Any = None
    query: Any = None


def of(found: Any, name: str) -> set[str]:
    """The ids of a page."""
    return {each[name] for each in found}


def only_one(name: str) -> Callable[[World, Any], bool]:
    """A page with the marked one alone."""
    return lambda world, found: of(found, f"{name}_id") == {world[f"{name} one"]}


TAKEN = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0{:03}"
MARK = {"mark": "yes"}
RUNS = "POST /threads/{thread two}/runs"
NEW_CRON = RUN | {"schedule": NEVER}
CRON_ONE = "PATCH /runs/crons/{cron two}"

EFFECTS: dict[tuple[type[HandlerValue], str], Effect] = {
    (ThreadsCreate, "thread_id"): Effect(
        TAKEN.format(1), "POST /threads", lambda world, found: found["thread_id"] == TAKEN.format(1), {}
    ),
    (ThreadsCreate, "metadata"): Effect(
        MARK, "POST /threads", lambda world, found: found["metadata"] == MARK, {"metadata": {"a": 1}}
    ),
    (ThreadsCreate, "if_exists"): Effect(
        "do_nothing",
        "POST /threads",
        lambda world, found: found["metadata"]["mark"] == "yes",
        lambda world: {"thread_id": world["thread one"]},
    ),
    (ThreadsCreate, "ttl"): Effect(
        {"ttl": 77},
        "POST /threads",
        lambda world, found: world.get(f"/threads/{found['thread_id']}", include="ttl"),
        {},
    ),
    (ThreadCreateForRun, "metadata"): Effect(
        MARK,
        f"POST /threads/{NEW}/runs",
        lambda world, found: world.get(f"/threads/{found['thread_id']}"),
        LATER | {"if_not_exists": "create"},
    ),
    (ThreadCopy, "thread_id"): Effect(
        TAKEN.format(2), "POST /threads/{thread two}/copy", lambda world, found: found["thread_id"] == TAKEN.format(2)
    ),
    (ThreadCopy, "metadata"): Effect(
        MARK, "POST /threads/{thread two}/copy", lambda world, found: found["metadata"] == MARK
    ),
    (ThreadsUpdate, "metadata"): Effect(
        MARK,
        "PATCH /threads/{thread two}",
        lambda world, found: found["metadata"]["mark"] == "yes" and "a" not in found["metadata"],
        {"metadata": {"a": 1}},
    ),
    (ThreadsSearch, "metadata"): Effect(MARK, "POST /threads/search", only_one("thread"), {}),
    (ThreadsSearch, "values"): Effect({"text": "x"}, "POST /threads/search", only_one("thread"), {}),
    (ThreadsSearch, "status"): Effect("error", "POST /threads/search", lambda world, found: found == [], {}),
    (ThreadsSearch, "limit"): Effect(1, "POST /threads/search", lambda world, found: len(found) == 1, {}),
    (ThreadsSearch, "offset"): Effect(1, "POST /threads/search", lambda world, found: len(found) == 1, {}),
    (ThreadsSearch, "ids"): Effect(
        lambda world: [UUID(world["thread one"])],
        "POST /threads/search",
        only_one("thread"),
        lambda world: {"ids": [world["thread two"]]},
    ),
    (ThreadsSearch, "thread_id"): Effect(
        lambda world: UUID(world["thread one"]), "POST /threads/search", only_one("thread"), {}
    ),
    (ThreadsCount, "metadata"): Effect(MARK, "POST /threads/count", lambda world, found: found == 1, {}),
    (ThreadsCount, "values"): Effect({"text": "x"}, "POST /threads/count", lambda world, found: found == 1, {}),
    (ThreadsCount, "status"): Effect("error", "POST /threads/count", lambda world, found: found == 0, {}),
    (ThreadsCount, "ids"): Effect(
        lambda world: [world["thread one"]], "POST /threads/count", lambda world, found: found == 1, {}
    ),
    (ThreadsCount, "thread_id"): Effect(
        lambda world: world["thread one"], "POST /threads/count", lambda world, found: found == 1, {}
    ),
    (RunsSearch, "metadata"): Effect(MARK, "GET /threads/{thread two}/runs", lambda world, found: found == []),
    (RunsSearch, "status"): Effect("success", "GET /threads/{thread one}/runs", lambda world, found: found == []),
    (RunsSearch, "limit"): Effect(
        1, "GET /threads/{thread one}/runs", lambda world, found: len(found) == 1, query={"limit": 5}
    ),
    (RunsSearch, "offset"): Effect(1, "GET /threads/{thread one}/runs", lambda world, found: found == []),
    (RunsCreate, "metadata"): Effect(MARK, RUNS, lambda world, found: found["metadata"]["mark"] == "yes", LATER),
    (RunsCreate, "prevent_insert_if_inflight"): Effect(
        True, RUNS, lambda world, found: "detail" in found and "run" in found["detail"], LATER
    ),
    (RunsCreate, "multitask_strategy"): Effect(
        "reject", RUNS, lambda world, found: "detail" in found and "run" in found["detail"], LATER
    ),
    (RunsCreate, "if_not_exists"): Effect(
        "create", f"POST /threads/{TAKEN.format(3)}/runs", lambda world, found: "run_id" in found, LATER
    ),
    (RunsCreate, "after_seconds"): Effect(
        3600, RUNS, lambda world, found: found["created_at"] > found["updated_at"], RUN
    ),
    (AssistantsCreate, "assistant_id"): Effect(
        TAKEN.format(4),
        "POST /assistants",
        lambda world, found: found["assistant_id"] == TAKEN.format(4),
        {"graph_id": "greet"},
    ),
    (AssistantsCreate, "graph_id"): Effect(
        "asking", "POST /assistants", lambda world, found: found["graph_id"] == "asking", {"graph_id": "greet"}
    ),
    (AssistantsCreate, "name"): Effect(
        "marked", "POST /assistants", lambda world, found: found["name"] == "marked", {"graph_id": "greet"}
    ),
    (AssistantsCreate, "description"): Effect(
        "marked", "POST /assistants", lambda world, found: found["description"] == "marked", {"graph_id": "greet"}
    ),
    (AssistantsCreate, "config"): Effect(
        {"tags": ["m"]},
        "POST /assistants",
        lambda world, found: found["config"]["tags"] == ["m"],
        {"graph_id": "greet"},
    ),
    (AssistantsCreate, "context"): Effect(
        MARK, "POST /assistants", lambda world, found: found["context"] == MARK, {"graph_id": "greet"}
    ),
    (AssistantsCreate, "metadata"): Effect(
        MARK, "POST /assistants", lambda world, found: found["metadata"] == MARK, {"graph_id": "greet"}
    ),
    (AssistantsCreate, "if_exists"): Effect(
        "do_nothing",
        "POST /assistants",
        lambda world, found: found["name"] == "two",
        lambda world: {"graph_id": "greet", "assistant_id": world["assistant two"]},
    ),
    (AssistantsRead, "metadata"): Effect(
        MARK, "GET /assistants/{assistant two}", lambda world, found: "not found" in found["detail"]
    ),
    (AssistantsUpdate, "graph_id"): Effect(
        "greet", "PATCH /assistants/{assistant two}", lambda world, found: found["graph_id"] == "greet", {"name": "n"}
    ),
    (AssistantsUpdate, "name"): Effect(
        "marked", "PATCH /assistants/{assistant two}", lambda world, found: found["name"] == "marked", {"name": "n"}
    ),
    (AssistantsUpdate, "description"): Effect(
        "m", "PATCH /assistants/{assistant two}", lambda world, found: found["description"] == "m", {"name": "n"}
    ),
    (AssistantsUpdate, "config"): Effect(
        {"tags": ["m"]},
        "PATCH /assistants/{assistant two}",
        lambda world, found: found["config"]["tags"] == ["m"],
        {"name": "n"},
    ),
    (AssistantsUpdate, "context"): Effect(
        MARK, "PATCH /assistants/{assistant two}", lambda world, found: found["context"] == MARK, {"name": "n"}
    ),
    (AssistantsUpdate, "metadata"): Effect(
        MARK,
        "PATCH /assistants/{assistant two}",
        lambda world, found: found["metadata"] == MARK,
        {"metadata": {"a": 1}},
    ),
    (AssistantsSetVersion, "version"): Effect(
        1, "POST /assistants/{assistant one}/latest", lambda world, found: found["name"] == "one", {"version": 2}
    ),
    (AssistantsSearch, "graph_id"): Effect(
        "greet",
        "POST /assistants/search",
        lambda world, found: {each["graph_id"] for each in found} == {"greet"},
        {},
    ),
    (AssistantsSearch, "metadata"): Effect(MARK, "POST /assistants/search", only_one("assistant"), {}),
    (AssistantsSearch, "limit"): Effect(1, "POST /assistants/search", lambda world, found: len(found) == 1, {}),
    (AssistantsSearch, "offset"): Effect(3, "POST /assistants/search", lambda world, found: len(found) == 1, {}),
    (AssistantsCount, "graph_id"): Effect("greet", "POST /assistants/count", lambda world, found: found == 2, {}),
    (AssistantsCount, "metadata"): Effect(MARK, "POST /assistants/count", lambda world, found: found == 1, {}),
    (CronsCreate, "cron_id"): Effect(
        TAKEN.format(5), "POST /runs/crons", lambda world, found: found["cron_id"] == TAKEN.format(5), NEW_CRON
    ),
    (CronsCreate, "schedule"): Effect(
        "0 0 2 2 *", "POST /runs/crons", lambda world, found: found["schedule"] == "0 0 2 2 *", NEW_CRON
    ),
    (CronsCreate, "end_time"): Effect(
        datetime(2090, 1, 1, tzinfo=UTC),
        "POST /runs/crons",
        lambda world, found: found["end_time"].startswith("2090-01-01"),
        NEW_CRON,
    ),
    (CronsCreate, "metadata"): Effect(
        MARK, "POST /runs/crons", lambda world, found: found["metadata"] == MARK, NEW_CRON | {"metadata": {"a": 1}}
    ),
    (CronsCreate, "payload"): Effect(
        NEW_CRON | {"input": MARK, "metadata": MARK},
        "POST /runs/crons",
        lambda world, found: (found["payload"]["input"], found["metadata"]) == (MARK, MARK),
        NEW_CRON,
    ),
    (CronsUpdate, "schedule"): Effect(
        "0 0 2 2 *", CRON_ONE, lambda world, found: found["schedule"] == "0 0 2 2 *", {"schedule": "0 0 3 3 *"}
    ),
    (CronsUpdate, "end_time"): Effect(
        "2090-01-01T00:00:00Z",
        CRON_ONE,
        lambda world, found: found["end_time"].startswith("2090-01-01"),
        {"enabled": True},
    ),
    (CronsUpdate, "enabled"): Effect(
        False, CRON_ONE, lambda world, found: found["enabled"] is False, {"schedule": "0 0 3 3 *"}
    ),
    (CronsUpdate, "on_run_completed"): Effect(
        "keep", CRON_ONE, lambda world, found: found["on_run_completed"] == "keep", {"enabled": True}
    ),
    (CronsUpdate, "metadata"): Effect(
        MARK, CRON_ONE, lambda world, found: found["metadata"] == MARK, {"enabled": False}
    ),
    (CronsUpdate, "payload"): Effect(
        {"input": MARK, "metadata": MARK},
        CRON_ONE,
        lambda world, found: (found["payload"]["input"], found["metadata"]) == (MARK, MARK),
        {"enabled": True},
    ),
    (CronsSearch, "assistant_id"): Effect(
        lambda world: UUID(world["assistant one"]), "POST /runs/crons/search", only_one("cron"), {}
    ),
    (CronsSearch, "thread_id"): Effect(
        lambda world: UUID(world["thread one"]), "POST /runs/crons/search", only_one("cron"), {}
    ),
    (CronsSearch, "metadata"): Effect(MARK, "POST /runs/crons/search", only_one("cron"), {}),
    (CronsSearch, "limit"): Effect(1, "POST /runs/crons/search", lambda world, found: len(found) == 1, {}),
    (CronsSearch, "offset"): Effect(1, "POST /runs/crons/search", lambda world, found: len(found) == 1, {}),
    (CronsCount, "assistant_id"): Effect(
        lambda world: world["assistant one"], "POST /runs/crons/count", lambda world, found: found == 1, {}
    ),
    (CronsCount, "thread_id"): Effect(
        lambda world: world["thread one"], "POST /runs/crons/count", lambda world, found: found == 1, {}
    ),
    (CronsCount, "metadata"): Effect(MARK, "POST /runs/crons/count", lambda world, found: found == 1, {}),
    (StorePut, "namespace"): Effect(
        ["ann", "n"],
        "PUT /store/items",
        lambda world, found: world.get("/store/items", namespace="ann.n", key="k"),
        {"namespace": ["n"], "key": "k", "value": MARK},
    ),
    (StorePut, "key"): Effect(
        "other",
        "PUT /store/items",
        lambda world, found: world.get("/store/items", namespace="n", key="other"),
        {"namespace": ["n"], "key": "k", "value": MARK},
    ),
    (StorePut, "value"): Effect(
        MARK,
        "PUT /store/items",
        lambda world, found: world.get("/store/items", namespace="n", key="v"),
        {"namespace": ["n"], "key": "v", "value": {"a": 1}},
    ),
    (StoreGet, "namespace"): Effect(
        ("one", "x"),
        "GET /store/items",
        lambda world, found: found["value"] == MARK,
        query={"namespace": "none", "key": "one"},
    ),
    (StoreGet, "key"): Effect(
        "one", "GET /store/items", lambda world, found: found["value"] == MARK, query={"namespace": "one.x", "key": "k"}
    ),
    (StoreSearch, "namespace"): Effect(
        ("one",), "POST /store/items/search", lambda world, found: of(found["items"], "key") == {"one"}, {}
    ),
    (StoreSearch, "filter"): Effect(
        MARK, "POST /store/items/search", lambda world, found: of(found["items"], "key") == {"one"}, {}
    ),
    (StoreSearch, "limit"): Effect(1, "POST /store/items/search", lambda world, found: len(found["items"]) == 1, {}),
    (StoreSearch, "offset"): Effect(1, "POST /store/items/search", lambda world, found: len(found["items"]) == 1, {}),
    (StoreListNamespaces, "namespace"): Effect(
        ("one",), "POST /store/namespaces", lambda world, found: found["namespaces"] == [["one", "x"]], {}
    ),
    (StoreListNamespaces, "suffix"): Effect(
        ("two", "x"), "POST /store/namespaces", lambda world, found: found["namespaces"] == [["two", "x"]], {}
    ),
    (StoreListNamespaces, "max_depth"): Effect(
        1, "POST /store/namespaces", lambda world, found: sorted(found["namespaces"]) == [["one"], ["two"]], {}
    ),
    (StoreListNamespaces, "limit"): Effect(
        1, "POST /store/namespaces", lambda world, found: len(found["namespaces"]) == 1, {}
    ),
    (StoreListNamespaces, "offset"): Effect(
        1, "POST /store/namespaces", lambda world, found: len(found["namespaces"]) == 1, {}
    ),
}
ELSEWHERE = {
    (RunsCancel, "action"),
    (RunsCancel, "metadata"),
    (RunCancel, "action"),
    (RunCancel, "metadata"),
    (BusyThreadCancel, "metadata"),
    (StoreDelete, "namespace"),
    (StoreDelete, "key"),
    (RunsCreate, "kwargs"),
    (StorePut, "index"),
    (StorePut, "ttl"),
    (StoreGet, "refresh_ttl"),
    (StoreSearch, "refresh_ttl"),
    (StoreSearch, "query"),
}
"""Members with a test of their own below, or whose effect is one on time and on meaning (`tests/store`)."""


def test_every_member_has_an_expectation() -> None:
    known = EFFECTS.keys() | ELSEWHERE
    assert {each for each in MEMBERS if each[1] not in each[0].FIXED} == known
    assert not EFFECTS.keys() & ELSEWHERE


@pytest.mark.parametrize("resource", ["threads", "assistants", "crons", "store"])
async def test_a_change_of_a_handler_takes_effect(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, resource: str
) -> None:
    wrong, world = {}, None
    for (kind, name), effect in EFFECTS.items():
        if not kind.OPERATION.startswith(resource):
            continue
        if world is None:
            await clear(admin)
            world = await a_world(admin)
        to = effect.to(world) if callable(effect.to) else effect.to
        body = effect.body(world) if callable(effect.body) else effect.body
        method, path = effect.request.split(" ", 1)
        rules.changes[kind.OPERATION] = lambda value, name=name, to=to: value.update({name: to})
        answer = await ann.request(method, path.format(**world.ids), json=body, params=effect.query)
        rules.reset()
        found = answer.json() if answer.content else None
        try:
            shows = effect.shows(world, found)
            shows = shown(await shows) if hasattr(shows, "__await__") else shows
        except (KeyError, TypeError) as error:
            shows = repr(error)
        if method != "GET" and not path.endswith(("/search", "/count", "/namespaces")):
            world = None  # it has changed
        if shows is not True:
            wrong[kind.__name__, name] = (answer.status_code, answer.text[:300], shows)
    assert wrong == {}


def shown(found: Any) -> bool:
    """What is stored has the mark, or the time to live."""
    text = str(found)
    return "yes" in text or "77" in text


async def clear(admin: httpx.AsyncClient) -> None:
    """Nothing is left of the rows before."""
    for path, name, one in (
        ("/threads/search", "thread_id", "/threads/{}"),
        ("/runs/crons/search", "cron_id", "/runs/crons/{}"),
        ("/assistants/search", "assistant_id", "/assistants/{}"),
    ):
        for each in await made(admin, path, {"limit": 100}):
            await admin.delete(one.format(each[name]))
    for item in (await made(admin, "/store/items/search", {"limit": 100}))["items"]:
        await admin.request("DELETE", "/store/items", json={"namespace": item["namespace"], "key": item["key"]})


KWARGS_WRITTEN: dict[str, Any] = {
    "input": MARK,
    "command": {"goto": "say"},
    "config": {"configurable": MARK, "metadata": {}, "tags": ["m"], "recursion_limit": 7},
    "context": MARK,
    "stream_mode": ["updates"],
    "interrupt_before": ["say"],
    "interrupt_after": "*",
    "webhook": "/hook",
    "feedback_keys": ["k"],
    "subgraphs": True,
    "resumable": True,
    "checkpoint_during": False,
    "durability": "exit",
    "checkpoint": {"checkpoint_ns": "x"},
    "strict_resume": True,
}


async def test_a_run_has_the_options_that_a_handler_wrote(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert KWARGS_WRITTEN.keys() | {"temporary"} == RunOptions().members().keys()
    thread = (await made(ann, "/threads", {}))["thread_id"]
    wrong = {}
    for name, to in KWARGS_WRITTEN.items():
        rules.changes["threads:create_run"] = lambda value, name=name, to=to: value["kwargs"].update({name: to})
        answer = await ann.post(f"/threads/{thread}/runs", json=LATER)
        found = answer.json().get("kwargs", {}).get(name)
        if isinstance(to, dict) and isinstance(found, dict):
            found = {each: found.get(each) for each in to}
            found = found | {"configurable": MARK, "metadata": {}} if name == "config" else found
        if found != to:
            wrong[name] = (answer.status_code, answer.text[:300])
    assert wrong == {}


async def test_a_handler_receives_the_delay_of_a_run(rules: Any, ann: httpx.AsyncClient) -> None:
    thread = (await made(ann, "/threads", {}))["thread_id"]
    for body in (RUN, LATER):
        await made(ann, f"/threads/{thread}/runs", body)
    asked = [value["after_seconds"] for _, operation, value in rules.asked if operation == "threads:create_run"]
    assert asked == [0, 3600]


def configure(what: dict[str, Any], value: dict[str, Any]) -> None:
    """Writes it into what is configurable."""
    value["kwargs"]["config"]["configurable"].update(what)


async def test_ceilings_and_priority_are_computed_after_the_handler(rules: Any, ann: httpx.AsyncClient) -> None:
    thread = (await made(ann, "/threads", {}))["thread_id"]
    rules.changes["threads:create_run"] = partial(configure, {"ceilings": {"max_steps": 3}, "priority": "low"})
    assert (await made(ann, f"/threads/{thread}/runs", LATER))["ceilings"]["max_steps"] == 3
    rules.changes["threads:create_run"] = lambda value: value["kwargs"]["context"].update(ceilings={"max_steps": 4})
    assert (await made(ann, f"/threads/{thread}/runs", LATER))["ceilings"]["max_steps"] == 4
    for bad in ({"ceilings": {"max_steps": -1}}, {"priority": "now"}):
        rules.changes["threads:create_run"] = lambda value, bad=bad: value["kwargs"]["config"]["configurable"].update(
            bad
        )
        assert (await ann.post(f"/threads/{thread}/runs", json=LATER)).status_code == 500


@pytest.mark.parametrize("webhook", ["ftp://x.example/", "https://user:pw@x.example/"])
async def test_a_webhook_that_a_handler_writes_is_checked(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, webhook: str
) -> None:
    thread = (await made(ann, "/threads", {}))["thread_id"]
    rules.changes["threads:create_run"] = lambda value: value["kwargs"].update(webhook=webhook)
    assert (await ann.post(f"/threads/{thread}/runs", json=LATER)).status_code == 500
    assert (await admin.get(f"/threads/{thread}/runs")).json() == []


async def test_a_handler_can_change_which_runs_are_cancelled_and_how(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    world = await a_world(admin)
    one, two = world["run one"], world["run two"]

    def none_of_them(value: dict[str, Any]) -> None:
        value["metadata"]["status"] = "running"

    rules.changes["threads:update"] = none_of_them
    assert (await ann.post("/runs/cancel", json={"status": "pending"})).status_code == 404
    rules.changes["threads:update"] = lambda value: value.update(action="rollback")
    path = f"/threads/{world['thread one']}/runs/{one}"
    assert (await ann.post(f"{path}/cancel")).status_code == 202
    assert (await admin.get(path)).status_code == 404  # a rollback removes the run
    cancels = {"thread_id": world["thread two"], "run_ids": [two]}
    assert (await ann.post("/runs/cancel", json=cancels)).status_code == 204
    assert (await admin.get(f"/threads/{world['thread two']}/runs/{two}")).status_code == 404
    rules.changes["threads:update"] = lambda value: value["metadata"].update(run_ids=[str(uuid4())])
    assert (await ann.post(f"{path}/cancel")).status_code == 500


async def test_a_handler_can_change_which_item_is_deleted(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    world = await a_world(admin)
    rules.changes["store:delete"] = lambda value: value.update(namespace=("one", "x"), key="one")
    assert (await ann.request("DELETE", "/store/items", json={"namespace": ["n"], "key": "k"})).status_code == 204
    assert await world.get("/store/items", namespace="one.x", key="one") is None


async def test_a_thread_id_of_a_handler_narrows_the_search(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """It never adds to the ids that the client wants."""
    one, two = [(await made(admin, "/threads", {}))["thread_id"] for _ in range(2)]
    rules.changes["threads:search"] = lambda value: value.update(thread_id=one)
    for body, found in (({}, [one]), ({"ids": [one, two]}, [one]), ({"ids": [two]}, [])):
        assert [each["thread_id"] for each in await made(ann, "/threads/search", body)] == found


@pytest.mark.parametrize("place", ["", "/state"])
async def test_a_thread_gets_the_metadata_that_a_handler_changed(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, place: str
) -> None:
    path = f"/threads/{(await made(ann, '/threads', {}))['thread_id']}"
    rules.written = {"threads:update": {"owner": "ann"}}
    answer = await ann.patch(path + place, json={"metadata": {"owner": "bob", "about": "tax"}})
    assert answer.status_code == 200
    assert (await admin.get(path)).json()["metadata"] == {"owner": "ann", "about": "tax"}


async def test_no_change_of_a_cron_replaces_the_owner_that_a_handler_writes(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """By whoever may change it, while the handler stamps the owner; also by the change that only stops it."""
    rules.written = {"crons:create": {"owner": "ann"}, "crons:update": {"owner": "ann"}}
    cron = (await made(ann, "/runs/crons", NEW_CRON))["cron_id"]
    for changes in (
        {"metadata": {"owner": "bob"}},
        {"enabled": False},
        {"enabled": True, "metadata": {"owner": "bob"}},
    ):
        assert (await ann.patch(f"/runs/crons/{cron}", json=changes)).status_code == 200
        found = (await admin.get(f"/runs/crons/{cron}")).json()
        assert found["metadata"]["owner"] == "ann"
        assert found["payload"].get("metadata", {}).get("owner") in ("ann", None)


@pytest.mark.parametrize(
    ("operation", "request_", "body", "change"),
    [
        ("crons:update", CRON_ONE, {"enabled": True}, {"schedule": "never"}),
        ("crons:update", CRON_ONE, {"enabled": True}, {"payload": {"nonsense": 1}}),
        ("crons:update", CRON_ONE, {"enabled": True}, {"payload": {"webhook": "ftp://x"}}),
        ("crons:create", "POST /runs/crons", NEW_CRON, {"schedule": "never"}),
        ("assistants:create", "POST /assistants", {"graph_id": "greet"}, {"config": {"tags": 7}}),
        ("assistants:create", "POST /assistants", {"graph_id": "greet"}, {"context": {"ceilings": {"max_steps": -1}}}),
        ("threads:create_run", RUNS, LATER, {"after_seconds": -1}),
        ("threads:search", "POST /threads/search", {}, {"limit": 100_000}),
        ("store:search", "POST /store/items/search", {}, {"filter": {"a": {"$regex": "x"}}}),
        ("store:put", "PUT /store/items", {"namespace": ["n"], "key": "k", "value": {}}, {"namespace": ["langgraph"]}),
    ],
)
async def test_a_change_of_a_handler_is_validated(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, operation: str, request_: str, body: Any, change: Any
) -> None:
    """As strictly as a request; and it is no client's fault."""
    world = await a_world(admin)
    method, path = request_.split(" ", 1)
    before = await world.get(f"/runs/crons/{world['cron two']}")
    rules.changes[operation] = lambda value: value.update(change)
    answer = await ann.request(method, path.format(**world.ids), json=body)
    assert answer.status_code == 500, answer.text
    assert next(iter(change)) not in answer.text
    assert await world.get(f"/runs/crons/{world['cron two']}") == before


async def test_an_invalid_request_is_a_client_error_whatever_a_handler_writes(
    rules: Any, ann: httpx.AsyncClient
) -> None:
    """Whatever a handler stamps on it."""
    rules.written = {"crons:create": {"owner": "ann"}, "crons:update": {"owner": "ann"}}
    cron = (await made(ann, "/runs/crons", NEW_CRON))["cron_id"]
    for changes in ({"schedule": "never"}, {"metadata": "x"}, {"webhook": "ftp://x"}, {"timezone": "Mars/Olympus"}):
        assert (await ann.patch(f"/runs/crons/{cron}", json=changes)).status_code == 422, changes
        assert (await ann.post("/runs/crons", json=NEW_CRON | changes)).status_code == 422, changes


# every route


SHAPES = {(kind.OPERATION, frozenset(kind.model_fields)) for kind in VALUES}


async def test_every_route_sends_handlers_values_of_declared_shapes(
    rules: Any, served: Served, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    world = await a_world(admin)
    ids = {name.removesuffix(" one").replace(" ", "_") + "_id": ident for name, ident in world.ids.items()}
    ids |= {"thread_id": world["thread one"], "assistant_id": world["assistant one"], "run_id": world["run one"]}
    ids |= {"cron_id": world["cron one"], "checkpoint_id": NEW, "namespace": "n", "graph_id": "greet"}
    unknown, silent = {}, []
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        for name, route in ROUTES.items():
            if route.access.public or not route.access.required:
                continue
            rules.asked.clear()
            sending = asyncio.create_task(send(client, name, ids, "ann", sample_of(name, ids)))
            await wait_until(lambda: sending.done() or (name in HELD_OPEN and rules.asked))  # noqa: B023
            sending.cancel()
            await asyncio.wait([sending])
            shapes = {(operation, frozenset(value)) for _, operation, value in rules.asked}
            if strange := shapes - SHAPES:
                unknown[name] = strange
            if not shapes:
                silent.append(name)
    assert unknown == {}
    assert silent == []


async def test_every_way_to_create_a_run_uses_the_changes_of_a_handler(
    rules: Any, served: Served, services: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    world = await a_world(admin)
    ids = {"thread_id": world["thread two"], "assistant_id": world["assistant two"], "run_id": world["run two"]}
    ids |= {"cron_id": world["cron two"], "checkpoint_id": NEW, "namespace": "n", "graph_id": "greet"}
    rules.written = {"threads:create_run": {"mark": "written"}}
    unmarked = []
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        for name, route in ROUTES.items():
            if "threads:create_run" not in route.access.required or "cron" in name or name.endswith("/wait"):
                continue
            rules.asked.clear()
            await send(client, name, ids, "ann", sample_of(name, ids))
            made_runs = [
                str(value["run_id"]) for _, operation, value in rules.asked if operation == "threads:create_run"
            ]
            assert made_runs, name
            for run_id in made_runs:
                if (await services.runs.find(run_id)).metadata.get("mark") != "written":
                    unmarked.append(name)
        command = {"id": 1, "method": "run.start", "params": {"assistant_id": "greet", "input": {"text": "hi"}}}
        headers = {"authorization": "Bearer ann-token"}
        path = f"/threads/{world['thread two']}/commands"
        answer = (await client.post(path, json=command, headers=headers)).json()
        assert (await services.runs.find(answer["result"]["run_id"])).metadata["mark"] == "written"
    assert unmarked == []


async def test_without_a_handler_nothing_is_copied() -> None:
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str | None) -> str:
        return "ann"

    value = EXAMPLES[RunsCreate]
    left, only = await Permissions(AuthFile(auth, AuthSection()), user_from_result("ann")).authorize(value)
    assert left is value
    assert not only
