"""What an authorize handler writes into `value` is stored, searched for or used. An invalid change is an error.

`EFFECTS` has one row for each member of each kind of value: what a handler writes, and where its effect can be
observed. A member without a row fails the test, and so does a route that passes a value of another shape to a handler.
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

from slipway.access.access_control import AccessControl
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
    AllRunsSearch,
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
from tests.attacks.rows import LONG_RESPONSES, ROUTES, sample_of, send
from tests.attacks.rules_server import (
    DELAYED_RUN,
    RUN,
    YEARLY,
    admin,
    ann,
    graphs,
    post_json,
    rules,
    served,
    services,
    settings,
)
from tests.auth.samples import NEW
from tests.http.conftest import Served
from tests.waiting import wait_until

__all__ = ["admin", "ann", "graphs", "rules", "served", "services", "settings"]

A, B = uuid4(), uuid4()
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
        AllRunsSearch(thread_id=None, metadata={"deep": [{"a": 1}]}, status=None, **PAGE),
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
        CronsCreate(cron_id=A, thread_id=None, user_id="ann", schedule=YEARLY, **CRON),
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
    """The value that a route receives after a handler made this change."""
    dumped = value.to_handler()
    change(dumped)
    return value.from_handler(dumped)


@pytest.mark.parametrize("kind", VALUES)
def test_a_handler_receives_a_copy_of_the_value(kind: type[HandlerValue]) -> None:
    value, original = EXAMPLES[kind], copy.deepcopy(EXAMPLES[kind])
    dumped = value.to_handler()
    result = value.from_handler(dumped)
    for name, each in dumped.items():
        if isinstance(each, dict):
            each["mark"] = 1
            for inner in each.values():
                if isinstance(inner, list):
                    inner.append("mark")
        elif isinstance(each, list):
            each.append(name)
    assert value == result == original


@pytest.mark.parametrize(("kind", "name"), MEMBERS)
def test_an_invalid_change_of_a_handler_is_an_error(kind: type[HandlerValue], name: str) -> None:
    value = EXAMPLES[kind]
    for change, message in (
        (lambda dumped: dumped.update({name: object()}), "not JSON"),
        (lambda dumped: dumped.update({name: [{"neither": "this"}, 7]}), f"invalid value in {name}"),
        (lambda dumped: dumped.pop(name), "removed"),
        (lambda dumped: dumped.update({f"{name}s": 1}), f"wrote {name}s, which does not exist"),
    ):
        with pytest.raises(AuthBroken, match=message):
            after(value, change)
    if name in kind.FIXED and name not in ("version", "ttl"):
        others = {"action": "rollback", "if_exists": "do_nothing", "user_id": "bob", "limit": 5, "offset": 5}
        with pytest.raises(AuthBroken, match=f"changed {name}|invalid value in {name}"):
            after(value, lambda dumped: dumped.update({name: others.get(name, str(uuid4()))}))


@pytest.mark.parametrize("kind", VALUES)
def test_a_handler_can_write_an_owner_into_every_value(kind: type[HandlerValue]) -> None:
    """Most auth files do this for all operations: `value.setdefault("metadata", {})["owner"] = …`."""
    result = after(EXAMPLES[kind], lambda dumped: dumped.setdefault("metadata", {}).update(owner="ann"))
    if "metadata" in kind.model_fields and not isinstance(EXAMPLES[kind], RunsCancel):
        assert result.model_dump()["metadata"]["owner"] == "ann"
    with pytest.raises(AuthBroken, match="metadata"):
        after(EXAMPLES[kind], lambda dumped: dumped.update(metadata="ann"))


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind.STORES])
def test_a_handler_cannot_write_server_metadata(kind: type[HandlerValue]) -> None:
    with pytest.raises(AuthBroken, match=r"metadata\.run_id, which only the server writes"):
        after(EXAMPLES[kind], lambda dumped: dumped["metadata"].update(run_id="x"))


GRAPH_ARGUMENTS: dict[type[HandlerValue], tuple[str, ...]] = {
    RunsCreate: ("kwargs.config.configurable", "kwargs.context"),
    AssistantsCreate: ("config.configurable", "context"),
    AssistantsUpdate: ("config.configurable", "context"),
    CronsCreate: ("payload.config.configurable", "payload.context"),
    CronsUpdate: ("payload.config.configurable", "payload.context"),
}
"""The members of a value that become arguments of a graph."""


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind in GRAPH_ARGUMENTS for path in GRAPH_ARGUMENTS[kind]])
def test_a_handler_cannot_write_another_user_for_a_graph(kind: type[HandlerValue], path: str) -> None:
    with pytest.raises(AuthBroken, match=rf"{path}\.langgraph_auth_user_id, which only the server writes"):
        after(EXAMPLES[kind], partial(write_at, path, "langgraph_auth_user_id"))


@pytest.mark.parametrize("kind", [CronsCreate, CronsUpdate])
def test_a_handler_cannot_write_server_metadata_into_a_payload(kind: type[HandlerValue]) -> None:
    with pytest.raises(AuthBroken, match=r"payload\.metadata\.run_id, which only the server writes"):
        after(EXAMPLES[kind], partial(write_at, "payload.metadata", "run_id"))


def write_at(path: str, name: str, dumped: dict[str, Any]) -> None:
    """Set `name` in the object at the dotted `path`. Missing objects on the path are created."""
    target = dumped
    for part in path.split("."):
        target[part] = target.get(part) or {}
        target = target[part]
    target[name] = "x"


@pytest.mark.parametrize("temporary", [True, False])
def test_a_handler_cannot_change_whether_a_thread_is_temporary(temporary: bool) -> None:
    example = EXAMPLES[RunsCreate]
    assert isinstance(example, RunsCreate)
    value = example.model_copy(update={"kwargs": dataclasses.replace(KWARGS, temporary=temporary)})
    assert after(value, lambda dumped: dumped["kwargs"].update(temporary=temporary)) == value
    with pytest.raises(AuthBroken, match=r"kwargs\.temporary, which cannot be changed"):
        after(value, lambda dumped: dumped["kwargs"].update(temporary=not temporary))


def test_members_with_one_meaning_must_agree() -> None:
    run, cron = EXAMPLES[RunsCreate], EXAMPLES[CronsUpdate]
    result = after(run, lambda dumped: dumped.update(prevent_insert_if_inflight=True))
    assert isinstance(result, RunsCreate)
    assert result.multitask_strategy == "reject"
    result = after(run, lambda dumped: dumped["kwargs"].update(checkpoint_during=False))
    assert isinstance(result, RunsCreate)
    assert result.kwargs.durability == "exit"
    with pytest.raises(AuthBroken, match="contradict"):
        after(run, lambda dumped: dumped.update(prevent_insert_if_inflight=True, multitask_strategy="rollback"))
    with pytest.raises(AuthBroken, match=r"payload\.schedule to different values"):
        after(
            cron, lambda dumped: (dumped.update(schedule="1 1 1 1 1"), dumped["payload"].update(schedule="2 1 1 1 1"))
        )


# the effect of each member


@dataclass(frozen=True, slots=True)
class Records:
    """Two records of each kind: `one` has a mark in its metadata, `two` does not."""

    ids: dict[str, str]
    admin: httpx.AsyncClient

    def __getitem__(self, name: str) -> str:
        return self.ids[name]

    async def get(self, path: str, **query: Any) -> Any:
        """The response to the admin, to whom no rule applies."""
        return (await self.admin.get(path, params=query)).json()


async def create_records(admin: httpx.AsyncClient) -> Records:
    """Create the records as the admin, to whom no rule applies."""
    ids: dict[str, str] = {}
    for name, mark in (("one", {"mark": "yes"}), ("two", {"mark": "no"})):
        metadata = mark | ({"graph_id": "greet"} if name == "one" else {})
        thread = await post_json(admin, "/threads", {"metadata": metadata})
        ids[f"thread {name}"] = thread["thread_id"]
        if name == "one":
            await post_json(admin, f"/threads/{thread['thread_id']}/state", {"values": {"text": "x"}, "as_node": "say"})
        run = await post_json(admin, f"/threads/{thread['thread_id']}/runs", DELAYED_RUN | {"metadata": mark})
        ids[f"run {name}"] = run["run_id"]
        assistant = {"graph_id": "greet" if name == "one" else "asking", "metadata": mark, "name": name}
        ids[f"assistant {name}"] = (await post_json(admin, "/assistants", assistant))["assistant_id"]
        cron = RUN | {"assistant_id": ids[f"assistant {name}"], "schedule": YEARLY, "metadata": mark}
        path = "/runs/crons" if name == "two" else f"/threads/{thread['thread_id']}/runs/crons"
        ids[f"cron {name}"] = (await post_json(admin, path, cron))["cron_id"]
        await admin.put("/store/items", json={"namespace": [name, "x"], "key": name, "value": mark})
    await admin.patch(f"/assistants/{ids['assistant one']}", json={"name": "newer"})
    return Records(ids, admin)


@dataclass(frozen=True, slots=True)
class Effect:
    """A handler writes `written`, while ann sends `request` (`method path`). Then `is_visible` must be true: it
    receives the records and the JSON of the response. `written` and `body` may be functions of the records."""

    written: Any
    request: str
    is_visible: Callable[[Records, Any], Any]
    body: Any = None
    query: Any = None


def values_of(found: Any, name: str) -> set[str]:
    """The values of one member in a list of records."""
    return {each[name] for each in found}


def only_one(name: str) -> Callable[[Records, Any], bool]:
    """The list has only the marked record."""
    return lambda records, found: values_of(found, f"{name}_id") == {records[f"{name} one"]}


GIVEN_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0{:03}"
MARK = {"mark": "yes"}
CREATE_RUN = "POST /threads/{thread two}/runs"
NEW_CRON = RUN | {"schedule": YEARLY}
UPDATE_CRON = "PATCH /runs/crons/{cron two}"

EFFECTS: dict[tuple[type[HandlerValue], str], Effect] = {
    (ThreadsCreate, "thread_id"): Effect(
        GIVEN_ID.format(1), "POST /threads", lambda records, found: found["thread_id"] == GIVEN_ID.format(1), {}
    ),
    (ThreadsCreate, "metadata"): Effect(
        MARK, "POST /threads", lambda records, found: found["metadata"] == MARK, {"metadata": {"a": 1}}
    ),
    (ThreadsCreate, "if_exists"): Effect(
        "do_nothing",
        "POST /threads",
        lambda records, found: found["metadata"]["mark"] == "yes",
        lambda records: {"thread_id": records["thread one"]},
    ),
    (ThreadsCreate, "ttl"): Effect(
        {"ttl": 77},
        "POST /threads",
        lambda records, found: records.get(f"/threads/{found['thread_id']}", include="ttl"),
        {},
    ),
    (ThreadCreateForRun, "metadata"): Effect(
        MARK,
        f"POST /threads/{NEW}/runs",
        lambda records, found: records.get(f"/threads/{found['thread_id']}"),
        DELAYED_RUN | {"if_not_exists": "create"},
    ),
    (ThreadCopy, "thread_id"): Effect(
        GIVEN_ID.format(2),
        "POST /threads/{thread two}/copy",
        lambda records, found: found["thread_id"] == GIVEN_ID.format(2),
    ),
    (ThreadCopy, "metadata"): Effect(
        MARK, "POST /threads/{thread two}/copy", lambda records, found: found["metadata"] == MARK
    ),
    (ThreadsUpdate, "metadata"): Effect(
        MARK,
        "PATCH /threads/{thread two}",
        lambda records, found: found["metadata"]["mark"] == "yes" and "a" not in found["metadata"],
        {"metadata": {"a": 1}},
    ),
    (ThreadsSearch, "metadata"): Effect(MARK, "POST /threads/search", only_one("thread"), {}),
    (ThreadsSearch, "values"): Effect({"text": "x"}, "POST /threads/search", only_one("thread"), {}),
    (ThreadsSearch, "status"): Effect("error", "POST /threads/search", lambda records, found: found == [], {}),
    (ThreadsSearch, "limit"): Effect(1, "POST /threads/search", lambda records, found: len(found) == 1, {}),
    (ThreadsSearch, "offset"): Effect(1, "POST /threads/search", lambda records, found: len(found) == 1, {}),
    (ThreadsSearch, "ids"): Effect(
        lambda records: [UUID(records["thread one"])],
        "POST /threads/search",
        only_one("thread"),
        lambda records: {"ids": [records["thread two"]]},
    ),
    (ThreadsSearch, "thread_id"): Effect(
        lambda records: UUID(records["thread one"]), "POST /threads/search", only_one("thread"), {}
    ),
    (ThreadsCount, "metadata"): Effect(MARK, "POST /threads/count", lambda records, found: found == 1, {}),
    (ThreadsCount, "values"): Effect({"text": "x"}, "POST /threads/count", lambda records, found: found == 1, {}),
    (ThreadsCount, "status"): Effect("error", "POST /threads/count", lambda records, found: found == 0, {}),
    (ThreadsCount, "ids"): Effect(
        lambda records: [records["thread one"]], "POST /threads/count", lambda records, found: found == 1, {}
    ),
    (ThreadsCount, "thread_id"): Effect(
        lambda records: records["thread one"], "POST /threads/count", lambda records, found: found == 1, {}
    ),
    (RunsSearch, "metadata"): Effect(MARK, "GET /threads/{thread two}/runs", lambda records, found: found == []),
    (RunsSearch, "status"): Effect("success", "GET /threads/{thread one}/runs", lambda records, found: found == []),
    (RunsSearch, "limit"): Effect(
        1, "GET /threads/{thread one}/runs", lambda records, found: len(found) == 1, query={"limit": 5}
    ),
    (RunsSearch, "offset"): Effect(1, "GET /threads/{thread one}/runs", lambda records, found: found == []),
    (AllRunsSearch, "metadata"): Effect(
        MARK, "GET /ops/runs", lambda records, found: values_of(found["runs"], "run_id") == {records["run one"]}
    ),
    (AllRunsSearch, "status"): Effect("success", "GET /ops/runs", lambda records, found: found["runs"] == []),
    (AllRunsSearch, "limit"): Effect(1, "GET /ops/runs", lambda records, found: len(found["runs"]) == 1),
    (RunsCreate, "metadata"): Effect(
        MARK, CREATE_RUN, lambda records, found: found["metadata"]["mark"] == "yes", DELAYED_RUN
    ),
    (RunsCreate, "prevent_insert_if_inflight"): Effect(
        True, CREATE_RUN, lambda records, found: "detail" in found and "run" in found["detail"], DELAYED_RUN
    ),
    (RunsCreate, "multitask_strategy"): Effect(
        "reject", CREATE_RUN, lambda records, found: "detail" in found and "run" in found["detail"], DELAYED_RUN
    ),
    (RunsCreate, "if_not_exists"): Effect(
        "create", f"POST /threads/{GIVEN_ID.format(3)}/runs", lambda records, found: "run_id" in found, DELAYED_RUN
    ),
    (RunsCreate, "after_seconds"): Effect(
        3600, CREATE_RUN, lambda records, found: found["created_at"] > found["updated_at"], RUN
    ),
    (AssistantsCreate, "assistant_id"): Effect(
        GIVEN_ID.format(4),
        "POST /assistants",
        lambda records, found: found["assistant_id"] == GIVEN_ID.format(4),
        {"graph_id": "greet"},
    ),
    (AssistantsCreate, "graph_id"): Effect(
        "asking", "POST /assistants", lambda records, found: found["graph_id"] == "asking", {"graph_id": "greet"}
    ),
    (AssistantsCreate, "name"): Effect(
        "marked", "POST /assistants", lambda records, found: found["name"] == "marked", {"graph_id": "greet"}
    ),
    (AssistantsCreate, "description"): Effect(
        "marked", "POST /assistants", lambda records, found: found["description"] == "marked", {"graph_id": "greet"}
    ),
    (AssistantsCreate, "config"): Effect(
        {"tags": ["m"]},
        "POST /assistants",
        lambda records, found: found["config"]["tags"] == ["m"],
        {"graph_id": "greet"},
    ),
    (AssistantsCreate, "context"): Effect(
        MARK, "POST /assistants", lambda records, found: found["context"] == MARK, {"graph_id": "greet"}
    ),
    (AssistantsCreate, "metadata"): Effect(
        MARK, "POST /assistants", lambda records, found: found["metadata"] == MARK, {"graph_id": "greet"}
    ),
    (AssistantsCreate, "if_exists"): Effect(
        "do_nothing",
        "POST /assistants",
        lambda records, found: found["name"] == "two",
        lambda records: {"graph_id": "greet", "assistant_id": records["assistant two"]},
    ),
    (AssistantsRead, "metadata"): Effect(
        MARK, "GET /assistants/{assistant two}", lambda records, found: "not found" in found["detail"]
    ),
    (AssistantsUpdate, "graph_id"): Effect(
        "greet", "PATCH /assistants/{assistant two}", lambda records, found: found["graph_id"] == "greet", {"name": "n"}
    ),
    (AssistantsUpdate, "name"): Effect(
        "marked", "PATCH /assistants/{assistant two}", lambda records, found: found["name"] == "marked", {"name": "n"}
    ),
    (AssistantsUpdate, "description"): Effect(
        "m", "PATCH /assistants/{assistant two}", lambda records, found: found["description"] == "m", {"name": "n"}
    ),
    (AssistantsUpdate, "config"): Effect(
        {"tags": ["m"]},
        "PATCH /assistants/{assistant two}",
        lambda records, found: found["config"]["tags"] == ["m"],
        {"name": "n"},
    ),
    (AssistantsUpdate, "context"): Effect(
        MARK, "PATCH /assistants/{assistant two}", lambda records, found: found["context"] == MARK, {"name": "n"}
    ),
    (AssistantsUpdate, "metadata"): Effect(
        MARK,
        "PATCH /assistants/{assistant two}",
        lambda records, found: found["metadata"] == MARK,
        {"metadata": {"a": 1}},
    ),
    (AssistantsSetVersion, "version"): Effect(
        1, "POST /assistants/{assistant one}/latest", lambda records, found: found["name"] == "one", {"version": 2}
    ),
    (AssistantsSearch, "graph_id"): Effect(
        "greet",
        "POST /assistants/search",
        lambda records, found: {each["graph_id"] for each in found} == {"greet"},
        {},
    ),
    (AssistantsSearch, "metadata"): Effect(MARK, "POST /assistants/search", only_one("assistant"), {}),
    (AssistantsSearch, "limit"): Effect(1, "POST /assistants/search", lambda records, found: len(found) == 1, {}),
    (AssistantsSearch, "offset"): Effect(3, "POST /assistants/search", lambda records, found: len(found) == 1, {}),
    (AssistantsCount, "graph_id"): Effect("greet", "POST /assistants/count", lambda records, found: found == 2, {}),
    (AssistantsCount, "metadata"): Effect(MARK, "POST /assistants/count", lambda records, found: found == 1, {}),
    (CronsCreate, "cron_id"): Effect(
        GIVEN_ID.format(5), "POST /runs/crons", lambda records, found: found["cron_id"] == GIVEN_ID.format(5), NEW_CRON
    ),
    (CronsCreate, "schedule"): Effect(
        "0 0 2 2 *", "POST /runs/crons", lambda records, found: found["schedule"] == "0 0 2 2 *", NEW_CRON
    ),
    (CronsCreate, "end_time"): Effect(
        datetime(2090, 1, 1, tzinfo=UTC),
        "POST /runs/crons",
        lambda records, found: found["end_time"].startswith("2090-01-01"),
        NEW_CRON,
    ),
    (CronsCreate, "metadata"): Effect(
        MARK, "POST /runs/crons", lambda records, found: found["metadata"] == MARK, NEW_CRON | {"metadata": {"a": 1}}
    ),
    (CronsCreate, "payload"): Effect(
        NEW_CRON | {"input": MARK, "metadata": MARK},
        "POST /runs/crons",
        lambda records, found: (found["payload"]["input"], found["metadata"]) == (MARK, MARK),
        NEW_CRON,
    ),
    (CronsUpdate, "schedule"): Effect(
        "0 0 2 2 *", UPDATE_CRON, lambda records, found: found["schedule"] == "0 0 2 2 *", {"schedule": "0 0 3 3 *"}
    ),
    (CronsUpdate, "end_time"): Effect(
        "2090-01-01T00:00:00Z",
        UPDATE_CRON,
        lambda records, found: found["end_time"].startswith("2090-01-01"),
        {"enabled": True},
    ),
    (CronsUpdate, "enabled"): Effect(
        False, UPDATE_CRON, lambda records, found: found["enabled"] is False, {"schedule": "0 0 3 3 *"}
    ),
    (CronsUpdate, "on_run_completed"): Effect(
        "keep", UPDATE_CRON, lambda records, found: found["on_run_completed"] == "keep", {"enabled": True}
    ),
    (CronsUpdate, "metadata"): Effect(
        MARK, UPDATE_CRON, lambda records, found: found["metadata"] == MARK, {"enabled": False}
    ),
    (CronsUpdate, "payload"): Effect(
        {"input": MARK, "metadata": MARK},
        UPDATE_CRON,
        lambda records, found: (found["payload"]["input"], found["metadata"]) == (MARK, MARK),
        {"enabled": True},
    ),
    (CronsSearch, "assistant_id"): Effect(
        lambda records: UUID(records["assistant one"]), "POST /runs/crons/search", only_one("cron"), {}
    ),
    (CronsSearch, "thread_id"): Effect(
        lambda records: UUID(records["thread one"]), "POST /runs/crons/search", only_one("cron"), {}
    ),
    (CronsSearch, "metadata"): Effect(MARK, "POST /runs/crons/search", only_one("cron"), {}),
    (CronsSearch, "limit"): Effect(1, "POST /runs/crons/search", lambda records, found: len(found) == 1, {}),
    (CronsSearch, "offset"): Effect(1, "POST /runs/crons/search", lambda records, found: len(found) == 1, {}),
    (CronsCount, "assistant_id"): Effect(
        lambda records: records["assistant one"], "POST /runs/crons/count", lambda records, found: found == 1, {}
    ),
    (CronsCount, "thread_id"): Effect(
        lambda records: records["thread one"], "POST /runs/crons/count", lambda records, found: found == 1, {}
    ),
    (CronsCount, "metadata"): Effect(MARK, "POST /runs/crons/count", lambda records, found: found == 1, {}),
    (StorePut, "namespace"): Effect(
        ["ann", "n"],
        "PUT /store/items",
        lambda records, found: records.get("/store/items", namespace="ann.n", key="k"),
        {"namespace": ["n"], "key": "k", "value": MARK},
    ),
    (StorePut, "key"): Effect(
        "other",
        "PUT /store/items",
        lambda records, found: records.get("/store/items", namespace="n", key="other"),
        {"namespace": ["n"], "key": "k", "value": MARK},
    ),
    (StorePut, "value"): Effect(
        MARK,
        "PUT /store/items",
        lambda records, found: records.get("/store/items", namespace="n", key="v"),
        {"namespace": ["n"], "key": "v", "value": {"a": 1}},
    ),
    (StoreGet, "namespace"): Effect(
        ("one", "x"),
        "GET /store/items",
        lambda records, found: found["value"] == MARK,
        query={"namespace": "none", "key": "one"},
    ),
    (StoreGet, "key"): Effect(
        "one",
        "GET /store/items",
        lambda records, found: found["value"] == MARK,
        query={"namespace": "one.x", "key": "k"},
    ),
    (StoreSearch, "namespace"): Effect(
        ("one",), "POST /store/items/search", lambda records, found: values_of(found["items"], "key") == {"one"}, {}
    ),
    (StoreSearch, "filter"): Effect(
        MARK, "POST /store/items/search", lambda records, found: values_of(found["items"], "key") == {"one"}, {}
    ),
    (StoreSearch, "limit"): Effect(1, "POST /store/items/search", lambda records, found: len(found["items"]) == 1, {}),
    (StoreSearch, "offset"): Effect(1, "POST /store/items/search", lambda records, found: len(found["items"]) == 1, {}),
    (StoreListNamespaces, "namespace"): Effect(
        ("one",), "POST /store/namespaces", lambda records, found: found["namespaces"] == [["one", "x"]], {}
    ),
    (StoreListNamespaces, "suffix"): Effect(
        ("two", "x"), "POST /store/namespaces", lambda records, found: found["namespaces"] == [["two", "x"]], {}
    ),
    (StoreListNamespaces, "max_depth"): Effect(
        1, "POST /store/namespaces", lambda records, found: sorted(found["namespaces"]) == [["one"], ["two"]], {}
    ),
    (StoreListNamespaces, "limit"): Effect(
        1, "POST /store/namespaces", lambda records, found: len(found["namespaces"]) == 1, {}
    ),
    (StoreListNamespaces, "offset"): Effect(
        1, "POST /store/namespaces", lambda records, found: len(found["namespaces"]) == 1, {}
    ),
}
TESTED_ELSEWHERE = {
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
"""Members with a test of their own below, or in `tests/store` if they concern times to live and semantic search."""


def test_every_member_has_an_expectation() -> None:
    expected = EFFECTS.keys() | TESTED_ELSEWHERE
    assert {each for each in MEMBERS if each[1] not in each[0].FIXED} == expected
    assert not EFFECTS.keys() & TESTED_ELSEWHERE


@pytest.mark.parametrize("resource", ["threads", "assistants", "crons", "store"])
async def test_a_change_of_a_handler_takes_effect(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, resource: str
) -> None:
    wrong, records = {}, None
    for (kind, name), effect in EFFECTS.items():
        if not kind.OPERATION.startswith(resource):
            continue
        if records is None:
            await delete_records(admin)
            records = await create_records(admin)
        written = effect.written(records) if callable(effect.written) else effect.written
        body = effect.body(records) if callable(effect.body) else effect.body
        method, path = effect.request.split(" ", 1)
        rules.changes[kind.OPERATION] = lambda value, name=name, written=written: value.update({name: written})
        response = await ann.request(method, path.format(**records.ids), json=body, params=effect.query)
        rules.reset()
        found = response.json() if response.content else None
        try:
            is_visible = effect.is_visible(records, found)
            is_visible = has_mark(await is_visible) if hasattr(is_visible, "__await__") else is_visible
        except (KeyError, TypeError) as error:
            is_visible = repr(error)
        if method != "GET" and not path.endswith(("/search", "/count", "/namespaces")):
            records = None  # the request changed the records
        if is_visible is not True:
            wrong[kind.__name__, name] = (response.status_code, response.text[:300], is_visible)
    assert wrong == {}


def has_mark(found: Any) -> bool:
    """Whether a stored record has the mark, or the time to live."""
    text = str(found)
    return "yes" in text or "77" in text


async def delete_records(admin: httpx.AsyncClient) -> None:
    """Delete the records of earlier rows."""
    for path, name, record_path in (
        ("/threads/search", "thread_id", "/threads/{}"),
        ("/runs/crons/search", "cron_id", "/runs/crons/{}"),
        ("/assistants/search", "assistant_id", "/assistants/{}"),
    ):
        for each in await post_json(admin, path, {"limit": 100}):
            await admin.delete(record_path.format(each[name]))
    for item in (await post_json(admin, "/store/items/search", {"limit": 100}))["items"]:
        await admin.request("DELETE", "/store/items", json={"namespace": item["namespace"], "key": item["key"]})


WRITTEN_KWARGS: dict[str, Any] = {
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
    assert WRITTEN_KWARGS.keys() | {"temporary"} == RunOptions().members().keys()
    thread = (await post_json(ann, "/threads", {}))["thread_id"]
    wrong = {}
    for name, written in WRITTEN_KWARGS.items():
        rules.changes["threads:create_run"] = lambda value, name=name, written=written: value["kwargs"].update(
            {name: written}
        )
        response = await ann.post(f"/threads/{thread}/runs", json=DELAYED_RUN)
        found = response.json().get("kwargs", {}).get(name)
        if isinstance(written, dict) and isinstance(found, dict):
            found = {each: found.get(each) for each in written}
            found = found | {"configurable": MARK, "metadata": {}} if name == "config" else found
        if found != written:
            wrong[name] = (response.status_code, response.text[:300])
    assert wrong == {}


async def test_a_handler_receives_the_delay_of_a_run(rules: Any, ann: httpx.AsyncClient) -> None:
    thread = (await post_json(ann, "/threads", {}))["thread_id"]
    for body in (RUN, DELAYED_RUN):
        await post_json(ann, f"/threads/{thread}/runs", body)
    delays = [value["after_seconds"] for _, operation, value in rules.calls if operation == "threads:create_run"]
    assert delays == [0, 3600]


def configure(configurable: dict[str, Any], value: dict[str, Any]) -> None:
    value["kwargs"]["config"]["configurable"].update(configurable)


async def test_ceilings_and_priority_are_computed_after_the_handler(rules: Any, ann: httpx.AsyncClient) -> None:
    thread = (await post_json(ann, "/threads", {}))["thread_id"]
    rules.changes["threads:create_run"] = partial(configure, {"ceilings": {"max_steps": 3}, "priority": "low"})
    assert (await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN))["ceilings"]["max_steps"] == 3
    rules.changes["threads:create_run"] = lambda value: value["kwargs"]["context"].update(ceilings={"max_steps": 4})
    assert (await post_json(ann, f"/threads/{thread}/runs", DELAYED_RUN))["ceilings"]["max_steps"] == 4
    for bad in ({"ceilings": {"max_steps": -1}}, {"priority": "now"}):
        rules.changes["threads:create_run"] = lambda value, bad=bad: value["kwargs"]["config"]["configurable"].update(
            bad
        )
        assert (await ann.post(f"/threads/{thread}/runs", json=DELAYED_RUN)).status_code == 500


@pytest.mark.parametrize("webhook", ["ftp://x.example/", "https://user:pw@x.example/"])
async def test_a_webhook_that_a_handler_writes_is_checked(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, webhook: str
) -> None:
    thread = (await post_json(ann, "/threads", {}))["thread_id"]
    rules.changes["threads:create_run"] = lambda value: value["kwargs"].update(webhook=webhook)
    assert (await ann.post(f"/threads/{thread}/runs", json=DELAYED_RUN)).status_code == 500
    assert (await admin.get(f"/threads/{thread}/runs")).json() == []


async def test_a_handler_can_change_which_runs_are_cancelled_and_how(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    records = await create_records(admin)
    one, two = records["run one"], records["run two"]

    def select_running(value: dict[str, Any]) -> None:
        value["metadata"]["status"] = "running"

    rules.changes["threads:update"] = select_running
    assert (await ann.post("/runs/cancel", json={"status": "pending"})).status_code == 404
    rules.changes["threads:update"] = lambda value: value.update(action="rollback")
    path = f"/threads/{records['thread one']}/runs/{one}"
    assert (await ann.post(f"{path}/cancel")).status_code == 202
    assert (await admin.get(path)).status_code == 404  # a rollback deletes the run
    cancels = {"thread_id": records["thread two"], "run_ids": [two]}
    assert (await ann.post("/runs/cancel", json=cancels)).status_code == 204
    assert (await admin.get(f"/threads/{records['thread two']}/runs/{two}")).status_code == 404
    rules.changes["threads:update"] = lambda value: value["metadata"].update(run_ids=[str(uuid4())])
    assert (await ann.post(f"{path}/cancel")).status_code == 500


async def test_a_handler_can_change_which_item_is_deleted(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    records = await create_records(admin)
    rules.changes["store:delete"] = lambda value: value.update(namespace=("one", "x"), key="one")
    assert (await ann.request("DELETE", "/store/items", json={"namespace": ["n"], "key": "k"})).status_code == 204
    assert await records.get("/store/items", namespace="one.x", key="one") is None


async def test_a_thread_id_of_a_handler_narrows_the_search(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """It adds nothing to the ids that the client requested."""
    one, two = [(await post_json(admin, "/threads", {}))["thread_id"] for _ in range(2)]
    rules.changes["threads:search"] = lambda value: value.update(thread_id=one)
    for body, found in (({}, [one]), ({"ids": [one, two]}, [one]), ({"ids": [two]}, [])):
        assert [each["thread_id"] for each in await post_json(ann, "/threads/search", body)] == found


@pytest.mark.parametrize("suffix", ["", "/state"])
async def test_a_thread_gets_the_metadata_that_a_handler_changed(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, suffix: str
) -> None:
    path = f"/threads/{(await post_json(ann, '/threads', {}))['thread_id']}"
    rules.metadata = {"threads:update": {"owner": "ann"}}
    response = await ann.patch(path + suffix, json={"metadata": {"owner": "bob", "about": "tax"}})
    assert response.status_code == 200
    assert (await admin.get(path)).json()["metadata"] == {"owner": "ann", "about": "tax"}


async def test_no_change_of_a_cron_replaces_the_owner_that_a_handler_writes(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    """Also not the change that only disables it."""
    rules.metadata = {"crons:create": {"owner": "ann"}, "crons:update": {"owner": "ann"}}
    cron = (await post_json(ann, "/runs/crons", NEW_CRON))["cron_id"]
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
        ("crons:update", UPDATE_CRON, {"enabled": True}, {"schedule": "never"}),
        ("crons:update", UPDATE_CRON, {"enabled": True}, {"payload": {"nonsense": 1}}),
        ("crons:update", UPDATE_CRON, {"enabled": True}, {"payload": {"webhook": "ftp://x"}}),
        ("crons:create", "POST /runs/crons", NEW_CRON, {"schedule": "never"}),
        ("assistants:create", "POST /assistants", {"graph_id": "greet"}, {"config": {"tags": 7}}),
        ("assistants:create", "POST /assistants", {"graph_id": "greet"}, {"context": {"ceilings": {"max_steps": -1}}}),
        ("threads:create_run", CREATE_RUN, DELAYED_RUN, {"after_seconds": -1}),
        ("threads:search", "POST /threads/search", {}, {"limit": 100_000}),
        ("store:search", "POST /store/items/search", {}, {"filter": {"a": {"$regex": "x"}}}),
        ("store:put", "PUT /store/items", {"namespace": ["n"], "key": "k", "value": {}}, {"namespace": ["langgraph"]}),
    ],
)
async def test_a_change_of_a_handler_is_validated(
    rules: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient, operation: str, request_: str, body: Any, change: Any
) -> None:
    """As strictly as a request, but a failure is a server error."""
    records = await create_records(admin)
    method, path = request_.split(" ", 1)
    before = await records.get(f"/runs/crons/{records['cron two']}")
    rules.changes[operation] = lambda value: value.update(change)
    response = await ann.request(method, path.format(**records.ids), json=body)
    assert response.status_code == 500, response.text
    assert next(iter(change)) not in response.text
    assert await records.get(f"/runs/crons/{records['cron two']}") == before


async def test_an_invalid_request_is_a_client_error_whatever_a_handler_writes(
    rules: Any, ann: httpx.AsyncClient
) -> None:
    rules.metadata = {"crons:create": {"owner": "ann"}, "crons:update": {"owner": "ann"}}
    cron = (await post_json(ann, "/runs/crons", NEW_CRON))["cron_id"]
    for changes in ({"schedule": "never"}, {"metadata": "x"}, {"webhook": "ftp://x"}, {"timezone": "Mars/Olympus"}):
        assert (await ann.patch(f"/runs/crons/{cron}", json=changes)).status_code == 422, changes
        assert (await ann.post("/runs/crons", json=NEW_CRON | changes)).status_code == 422, changes


# every route


SHAPES = {(kind.OPERATION, frozenset(kind.model_fields)) for kind in VALUES}


async def test_every_route_sends_handlers_values_of_declared_shapes(
    rules: Any, served: Served, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    records = await create_records(admin)
    ids = {name.removesuffix(" one").replace(" ", "_") + "_id": record_id for name, record_id in records.ids.items()}
    ids |= {"thread_id": records["thread one"], "assistant_id": records["assistant one"], "run_id": records["run one"]}
    ids |= {"cron_id": records["cron one"], "checkpoint_id": NEW, "namespace": "n", "graph_id": "greet"}
    unknown, unauthorized = {}, []
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        for name, route in ROUTES.items():
            if route.access.public or not route.access.required:
                continue
            rules.calls.clear()
            sending = asyncio.create_task(send(client, name, ids, "ann", sample_of(name, ids)))
            await wait_until(lambda: sending.done() or (name in LONG_RESPONSES and rules.calls))  # noqa: B023
            sending.cancel()
            await asyncio.wait([sending])
            shapes = {(operation, frozenset(value)) for _, operation, value in rules.calls}
            if undeclared := shapes - SHAPES:
                unknown[name] = undeclared
            if not shapes:
                unauthorized.append(name)
    assert unknown == {}
    assert unauthorized == []


async def test_every_way_to_create_a_run_uses_the_changes_of_a_handler(
    rules: Any, served: Served, services: Any, ann: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    records = await create_records(admin)
    ids = {"thread_id": records["thread two"], "assistant_id": records["assistant two"], "run_id": records["run two"]}
    ids |= {"cron_id": records["cron two"], "checkpoint_id": NEW, "namespace": "n", "graph_id": "greet"}
    rules.metadata = {"threads:create_run": {"mark": "written"}}
    unmarked = []
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        for name, route in ROUTES.items():
            if "threads:create_run" not in route.access.required or "cron" in name or name.endswith("/wait"):
                continue
            rules.calls.clear()
            await send(client, name, ids, "ann", sample_of(name, ids))
            run_ids = [str(value["run_id"]) for _, operation, value in rules.calls if operation == "threads:create_run"]
            assert run_ids, name
            for run_id in run_ids:
                if (await services.runs.find(run_id)).metadata.get("mark") != "written":
                    unmarked.append(name)
        command = {"id": 1, "method": "run.start", "params": {"assistant_id": "greet", "input": {"text": "hi"}}}
        headers = {"authorization": "Bearer ann-token"}
        path = f"/threads/{records['thread two']}/commands"
        response = (await client.post(path, json=command, headers=headers)).json()
        assert (await services.runs.find(response["result"]["run_id"])).metadata["mark"] == "written"
    assert unmarked == []


async def test_without_a_handler_nothing_is_copied() -> None:
    auth = Auth()

    @auth.authenticate
    async def authenticate(authorization: str | None) -> str:
        return "ann"

    value = EXAMPLES[RunsCreate]
    control = AccessControl(AuthFile(auth, AuthSection()))
    result, access_filter = await Permissions(control, user_from_result("ann")).authorize(value)
    assert result is value
    assert not access_filter
