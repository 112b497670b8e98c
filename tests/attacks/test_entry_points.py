"""One operation is one permission, by whatever door.

Every door (each route with each body that does something else, the commands of the event protocol over HTTP and over a
socket, crons that are due) is tried once with everything allowed: what it does is the table `DOES`. Then one operation
after another is refused, or its filter excludes everything, and every door is tried again: nothing of what that
operation stands for may have been done or shown. A route that has no row fails the test.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from slipway.access.handler_values.base import Operation
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui import site
from slipway.crons.store import CronQuery as WantedCrons
from slipway.graphs.registry import Registry
from slipway.services import Services
from slipway.settings import Settings
from slipway.threads.search import ThreadQuery
from slipway_workers.duties.scheduler import Scheduler
from tests.attacks.rules_server import (
    NEVER,
    RUN,
    admin,
    ann,
    due_times,
    graphs,
    made,
    rules,
    served,
    services,
    settings,
)
from tests.crons.conftest import DueTimes
from tests.http.conftest import Served
from tests.working import working

__all__ = ["admin", "ann", "due_times", "graphs", "rules", "served", "services", "settings"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
FRESH = "0199aaaa-bbbb-7ccc-8ddd-{:012x}"
LATER = RUN | {"after_seconds": 3600}
KEPT = LATER | {"on_completion": "keep"}
CRON = RUN | {"schedule": NEVER}
EXCLUDES = {"owner": "nobody"}
"""A filter that fits nothing that there is."""

_ANSWER_WITHIN_S = 20

SHOWN = {
    "thread": "secret-of-the-thread",
    "assistant": "secret-of-the-assistant",
    "cron": "secret-of-the-cron",
    "item": "secret-of-the-item",
}
"""What stands in a record of each kind, and in an answer that shows one."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Of what there is when a door is tried. `busy` has a run that waits, `waiting` an interrupt."""

    thread_id: str
    waiting: str
    busy: str
    run_id: str
    assistant_id: str
    cron_id: str
    keeps: str
    pending: str
    interrupt_id: str
    checkpoint_id: str


@dataclass(slots=True)
class Stage:
    """A server, somebody who tries the doors, and what the doors lead to."""

    served: Served
    services: Services
    settings: Settings
    graphs: Registry
    ann: httpx.AsyncClient
    admin: httpx.AsyncClient
    rules: Any
    due_times: DueTimes
    ids: Ids | None = None
    made: int = 0

    def names(self) -> dict[str, str]:
        """What the names in a row stand for."""
        assert self.ids is not None
        self.made += 1
        known = {name: str(getattr(self.ids, name)) for name in Ids.__slots__}
        return known | {"fresh": FRESH.format(self.made), "namespace": "n", "graph_id": "greet"}

    async def build(self) -> None:
        """Everything that the rows name, once more; anew for each row that has removed something of it."""
        described = {"graph_id": "greet", "description": SHOWN["assistant"], "metadata": {"owner": "ann"}}
        assistant = (await made(self.ann, "/assistants", described))["assistant_id"]
        thread = (await made(self.ann, "/threads", {}))["thread_id"]
        given = {"text": SHOWN["thread"]}
        await made(self.ann, f"/threads/{thread}/runs/wait", {"assistant_id": assistant, "input": given})
        (run,) = (await self.ann.get(f"/threads/{thread}/runs")).json()
        state = (await self.ann.get(f"/threads/{thread}/state")).json()
        waiting = (await made(self.ann, "/threads", {}))["thread_id"]
        await made(self.ann, f"/threads/{waiting}/runs/wait", {"assistant_id": "asking", "input": given})
        asked = (await self.ann.get(f"/threads/{waiting}")).json()["interrupts"]
        busy = (await made(self.ann, "/threads", {}))["thread_id"]
        pending = await made(self.ann, f"/threads/{busy}/runs", LATER)
        cron = CRON | {"metadata": {"about": SHOWN["cron"]}}
        await self.ann.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"text": SHOWN["item"]}})
        self.ids = Ids(
            thread_id=thread,
            waiting=waiting,
            busy=busy,
            run_id=run["run_id"],
            pending=pending["run_id"],
            assistant_id=assistant,
            cron_id=(await made(self.ann, f"/threads/{thread}/runs/crons", cron))["cron_id"],
            keeps=(await made(self.ann, "/runs/crons", cron | {"on_run_completed": "keep"}))["cron_id"],
            interrupt_id=next(iter(asked.values()))[0]["id"],
            checkpoint_id=state["checkpoint"]["checkpoint_id"],
        )


Attempt = tuple[int, str]
"""A status, and the answer that came with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A request to a route: in its path, body and query, `{names}` of `Ids` stand for ids, and `{fresh}` for a new one.
    `tail` tells the rows of one route apart. One that is `endless` goes on showing what happens."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    tail: str = ""
    on: dict[str, str] = field(default_factory=dict)
    endless: bool = False

    @property
    def name(self) -> str:
        """The route, and what it is asked to do."""
        return f"{self.method} {self.path}{f' {self.tail}' if self.tail else ''}"

    async def attempt(self, stage: Stage) -> Attempt:
        """The answer to the request; of one that is endless as much as shows something."""
        ids = stage.names()
        ids |= {name: text.format_map(ids) for name, text in self.on.items()}
        path = plain_path(self.path).format_map(ids)
        content = None if self.body is None else json.dumps(_filled(self.body, ids))
        query = {name: text.format_map(ids) for name, text in self.query.items()}
        text = ""
        async with stage.ann.stream(self.method, path, params=query, content=content) as answer:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                async for piece in answer.aiter_text():
                    text += piece
                    if self.endless and any(word in text for word in SHOWN.values()):
                        break
        return answer.status_code, text


def _filled(body: Any, ids: dict[str, str]) -> Any:
    """`body` with ids for names."""
    if isinstance(body, dict):
        return {name: _filled(each, ids) for name, each in body.items()}
    if isinstance(body, list):
        return [_filled(each, ids) for each in body]
    return body.format_map(ids) if isinstance(body, str) and "{" in body else body


@dataclass(frozen=True, slots=True)
class Said:
    """A command of the event protocol, over a socket."""

    name: str
    thread: str
    command: dict[str, Any]

    async def attempt(self, stage: Stage) -> Attempt:
        """Closed sockets have 4000 and the status."""
        ids = stage.names()
        url = f"{stage.served.url.replace('http', 'ws', 1)}/threads/{ids[self.thread]}/stream/events"
        async with connect(url, additional_headers={"authorization": "Bearer ann-token"}) as socket:
            with suppress(ConnectionClosed):
                await socket.send(json.dumps(_filled(self.command, ids)))
                text = ""
                async with asyncio.timeout(20):
                    while '"type":"success"' not in text and '"type":"error"' not in text:
                        text += str(await socket.recv())
                return (200 if '"type":"success"' in text else 403), text
        return (socket.close_code or 0) - 4000, ""


@dataclass(frozen=True, slots=True)
class Due:
    """A cron is due."""

    name: str
    cron: str

    async def attempt(self, stage: Stage) -> Attempt:
        """Made or not."""
        cron_id = stage.names()[self.cron]
        await stage.due_times.make_due(cron_id, stage.made % 1000)
        made_here = await Scheduler(stage.services).run_once()
        return 200 if made_here else 403, ""


Door = Row | Said | Due

_THREAD = "/threads/{thread_id}"
_RUNS = f"{_THREAD}/runs"
_RUN = f"{_RUNS}/{{run_id}}"
_START = {"id": 1, "method": "run.start", "params": RUN}
_ANSWER = {"id": 1, "method": "input.respond", "params": {"interrupt_id": "{interrupt_id}", "response": "yes"}}
_TREE: dict[str, Any] = {"id": 1, "method": "agent.getTree", "params": {}}
_SUBSCRIBE = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}
_STEPS = [{"updates": [{"values": {"text": "x"}, "as_node": "say"}]}]
_ON_BUSY = {"thread_id": "{busy}", "run_id": "{pending}"}
_HOOK = {"webhook": "http://localhost:9/nobody"}

DOORS: tuple[Door, ...] = (
    # assistants
    Row("POST", "/assistants", {"graph_id": "greet"}),
    Row(
        "POST",
        "/assistants",
        {"graph_id": "greet", "assistant_id": "{assistant_id}", "if_exists": "do_nothing"},
        tail="that exists",
    ),
    Row("POST", "/assistants/search", {"metadata": {"owner": "ann"}}),
    Row("POST", "/assistants/count", {}),
    Row("GET", "/assistants/{assistant_id}"),
    Row("PATCH", "/assistants/{assistant_id}", {"metadata": {"about": "{fresh}"}}),
    Row("POST", "/assistants/{assistant_id}/versions", {}),
    Row("POST", "/assistants/{assistant_id}/latest", {"version": 1}),
    Row("GET", "/assistants/{assistant_id}/graph"),
    Row("GET", "/assistants/{assistant_id}/schemas"),
    Row("GET", "/assistants/{assistant_id}/subgraphs"),
    Row("GET", "/assistants/{assistant_id}/subgraphs/{namespace:path}"),
    Row("DELETE", "/assistants/{assistant_id}"),
    Row("DELETE", "/assistants/{assistant_id}", query={"delete_threads": "true"}, tail="with threads"),
    # threads
    Row("POST", "/threads", {}),
    Row("POST", "/threads", {"thread_id": "{thread_id}", "if_exists": "do_nothing"}, tail="that exists"),
    Row("POST", "/threads", {"metadata": {"graph_id": "greet"}, "supersteps": _STEPS}, tail="with supersteps"),
    Row("POST", "/threads/search", {}),
    Row("POST", "/threads/count", {}),
    Row("GET", _THREAD),
    Row("PATCH", _THREAD, {"metadata": {"about": "{fresh}"}}),
    Row("PATCH", _THREAD, {"ttl": 600}, tail="for a time"),
    Row("GET", f"{_THREAD}/storage"),
    Row("GET", f"{_THREAD}/stream", query={"since_event_id": "-", "stream_modes": "run_modes"}, endless=True),
    Row("GET", f"{_THREAD}/state"),
    Row("POST", f"{_THREAD}/state", {"values": {"text": "x"}, "as_node": "say"}),
    Row("PATCH", f"{_THREAD}/state", {"metadata": {"about": "{fresh}"}}),
    Row("POST", f"{_THREAD}/state/checkpoint", {"checkpoint": {}}),
    Row("GET", f"{_THREAD}/state/{{checkpoint_id}}"),
    Row("POST", f"{_THREAD}/history", {}),
    Row("GET", f"{_THREAD}/history"),
    Row("POST", f"{_THREAD}/copy"),
    Row("POST", "/threads/prune", {"thread_ids": ["{thread_id}"]}),
    Row(
        "POST", "/threads/prune", {"thread_ids": ["{thread_id}"], "strategy": "keep_latest"}, tail="to its latest state"
    ),
    Row("DELETE", _THREAD),
    # runs on a thread
    Row("POST", _RUNS, LATER),
    Row("POST", _RUNS, LATER | {"if_not_exists": "create"}, tail="of no thread", on={"thread_id": "{fresh}"}),
    Row("POST", _RUNS, LATER | {"if_not_exists": "create"}, tail="of a thread that may be made"),
    Row("POST", _RUNS, LATER | _HOOK, tail="with a webhook"),
    Row("POST", _RUNS, LATER | {"multitask_strategy": "interrupt"}, tail="instead of another", on=_ON_BUSY),
    Row("POST", _RUNS, LATER | {"multitask_strategy": "rollback"}, tail="undoing another", on=_ON_BUSY),
    Row(
        "POST",
        _RUNS,
        {"assistant_id": "asking", "command": {"resume": "yes"}},
        tail="that answers",
        on={"thread_id": "{waiting}"},
    ),
    Row("POST", _RUNS, LATER | {"assistant_id": "{assistant_id}"}, tail="by an assistant"),
    Row("POST", f"{_RUNS}/wait", RUN | {"input": None}),
    Row("POST", f"{_RUNS}/wait", RUN | {"if_not_exists": "create"}, tail="of no thread", on={"thread_id": "{fresh}"}),
    Row("POST", f"{_RUNS}/stream", RUN | {"input": None}),
    Row("POST", f"{_RUNS}/stream", RUN | {"if_not_exists": "create"}, tail="of no thread", on={"thread_id": "{fresh}"}),
    Row("GET", _RUNS),
    Row("GET", _RUN),
    Row("GET", f"{_RUN}/join"),
    Row("GET", f"{_RUN}/stream", query={"since_event_id": "-"}),
    Row("POST", f"{_RUN}/cancel", on=_ON_BUSY),
    Row("POST", f"{_RUN}/cancel", query={"wait": "true"}, tail="and wait", on=_ON_BUSY),
    Row("POST", f"{_RUN}/cancel", query={"action": "rollback"}, tail="and undo", on=_ON_BUSY),
    Row("DELETE", _RUN),
    # runs without a thread
    Row("POST", "/runs", LATER),
    Row("POST", "/runs", KEPT, tail="kept"),
    Row("POST", "/runs", LATER | {"assistant_id": "{assistant_id}"}, tail="by an assistant"),
    Row("POST", "/runs/batch", [LATER]),
    Row("POST", "/runs/batch", [KEPT], tail="kept"),
    Row("POST", "/runs/wait", RUN),
    Row("POST", "/runs/wait", RUN | {"on_completion": "keep"}, tail="kept"),
    Row("POST", "/runs/stream", RUN),
    Row("POST", "/runs/stream", RUN | {"on_completion": "keep"}, tail="kept"),
    Row("POST", "/runs/cancel", {"thread_id": "{busy}", "run_ids": ["{pending}"]}),
    Row("POST", "/runs/cancel", {"status": "all"}, tail="of all threads"),
    Row("GET", "/runs/{run_id}/stream", query={"since_event_id": "-"}),
    # crons
    Row("POST", "/runs/crons", CRON),
    Row("POST", "/runs/crons", CRON | {"on_run_completed": "keep"}, tail="kept"),
    Row("POST", "/runs/crons", CRON | {"assistant_id": "{assistant_id}"}, tail="by an assistant"),
    Row("POST", f"{_RUNS}/crons", CRON),
    Row("POST", "/runs/crons/search", {}),
    Row("POST", "/runs/crons/count", {}),
    Row("GET", "/runs/crons/{cron_id}"),
    Row("PATCH", "/runs/crons/{cron_id}", {"metadata": {"note": "{fresh}"}}),
    Row("PATCH", "/runs/crons/{cron_id}", {"enabled": False}, tail="that stops it"),
    Row("DELETE", "/runs/crons/{cron_id}"),
    Due("a cron on a thread is due", "cron_id"),
    Due("a cron whose threads stay is due", "keeps"),
    # the event protocol
    Row("POST", f"{_THREAD}/commands", _START, tail="run.start"),
    Row("POST", f"{_THREAD}/commands", _START, tail="run.start of no thread", on={"thread_id": "{fresh}"}),
    Row("POST", f"{_THREAD}/commands", _ANSWER, tail="input.respond", on={"thread_id": "{waiting}"}),
    Row("POST", f"{_THREAD}/commands", _TREE, tail="agent.getTree"),
    Row("POST", f"{_THREAD}/stream/events", {"channels": ["values"]}, endless=True),
    Said("socket run.start", "thread_id", _START),
    Said("socket run.start of no thread", "fresh", _START),
    Said("socket input.respond", "waiting", _ANSWER),
    Said("socket agent.getTree", "thread_id", _TREE),
    Said("socket subscription.subscribe", "thread_id", _SUBSCRIBE),
    # the store
    Row("PUT", "/store/items", {"namespace": ["n"], "key": "{fresh}", "value": {"a": 1}}),
    Row("GET", "/store/items", query={"namespace": "n", "key": "k"}),
    Row("DELETE", "/store/items", {"namespace": ["n"], "key": "k"}),
    Row("POST", "/store/items/search", {"namespace_prefix": ["n"]}),
    Row("POST", "/store/namespaces", {}),
    # pages
    Row("GET", "/"),
    Row("GET", "/ui/recent"),
    Row("GET", "/ui/graphs/{graph_id}", query={"from": "{run_id}", "thread": "{thread_id}"}),
    Row("GET", "/ui/threads/{thread_id}"),
    Row("GET", "/ui/threads/{thread_id}/runs/{run_id}"),
    Row("GET", "/ui/threads/{thread_id}/runs/{run_id}/events"),
    Row("GET", "/ui/threads/{thread_id}/runs/{run_id}/now"),
)


@dataclass(frozen=True, slots=True)
class World:
    """What there is, as it is stored. A thread that goes with its run is none of the `threads`."""

    threads: dict[str, Any]
    states: dict[str, int]
    ttls: dict[str, Any]
    runs: set[str]
    kept_runs: set[str]
    cancelled: set[str]
    assistants: dict[str, Any]
    crons: dict[str, Any]
    items: dict[tuple[str, ...], Any]

    @classmethod
    async def read(cls, services: Services) -> World:
        """All of it."""
        pipeline, keys = services.pipeline, services.keys
        found = await services.threads.search(ThreadQuery(), limit=10_000)
        passing = await asyncio.gather(
            *(pipeline.send("HEXISTS", keys.thread(each.thread_id), "temporary") for each in found)
        )
        lasting = {each.thread_id: each for each, passes in zip(found, passing, strict=True) if not passes}
        lists = await asyncio.gather(*(services.runs.list(name, limit=1000) for name in lasting))
        runs = [run for each in lists for run in each]
        states = await asyncio.gather(*(pipeline.send("ZCARD", keys.thread_states(name)) for name in lasting))
        logs = await pipeline.send("KEYS", keys.events("*"))
        return cls(
            threads={name: _own_metadata(thread.metadata) for name, thread in lasting.items()},
            states=dict(zip(lasting, states, strict=True)),
            ttls={name: thread.ttl for name, thread in lasting.items()},
            runs={name.decode().split(":")[-2] for name in logs},
            kept_runs={run.run_id for run in runs},
            cancelled={run.run_id for run in runs if run.phase == "cancelled" or run.cancel},
            assistants={each.assistant_id: each.public() for each in await services.assistants.search()},
            crons={each.cron_id: _stable(each.public()) for each in await services.crons.search(WantedCrons())},
            items={(*item.namespace, item.key): item.value for item in await services.store.asearch((), limit=1000)},
        )


def _own_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Without what a run leaves."""
    return {name: value for name, value in metadata.items() if name not in ("graph_id", "assistant_id")}


def _stable(cron: dict[str, Any]) -> dict[str, Any]:
    """Without what due times change."""
    passing = ("next_run_date", "last_run_id", "problem", "updated_at")
    return {name: value for name, value in cron.items() if name not in passing}


def _changed(before: dict[Any, Any], after: dict[Any, Any]) -> bool:
    """Whether a record that stays is another."""
    return any(after.get(name, value) != value for name, value in before.items())


def done(before: World, after: World) -> set[str]:
    """The operations whose effects lie between the two."""
    gone_runs = before.kept_runs - after.kept_runs
    gone_crons = {name for name in before.crons.keys() - after.crons.keys() if _stays(before.crons[name], after)}
    ttl = _changed(before.ttls, after.ttls)
    written = any(count > before.states.get(name, 0) for name, count in after.states.items())
    found = {
        "assistants:create": bool(after.assistants.keys() - before.assistants.keys()),
        "assistants:update": _changed(before.assistants, after.assistants),
        "assistants:delete": bool(before.assistants.keys() - after.assistants.keys()),
        "threads:create": bool(after.threads.keys() - before.threads.keys()),
        "threads:update": _changed(before.threads, after.threads)
        or bool(after.cancelled - before.cancelled)
        or written
        or ttl,
        "threads:delete": bool(before.threads.keys() - after.threads.keys()) or bool(gone_runs) or ttl,
        "threads:create_run": bool(after.runs - before.runs),
        "crons:create": bool(after.crons.keys() - before.crons.keys()),
        "crons:update": _changed(before.crons, after.crons),
        "crons:delete": bool(gone_crons),
        "store:put": bool(after.items.keys() - before.items.keys()),
        "store:delete": bool(before.items.keys() - after.items.keys()),
    }
    return {operation for operation, happened in found.items() if happened}


def _stays(cron: dict[str, Any], after: World) -> bool:
    """Whether a cron could have stayed: it goes with its thread, which is no operation of its own."""
    return cron["thread_id"] is None or cron["thread_id"] in after.threads


SEARCHES = {
    "POST /assistants/search": {"assistants:search"},
    "POST /threads/search": {"threads:search"},
    "POST /runs/crons/search": {"crons:search"},
    "POST /store/items/search": {"store:search"},
    "GET /threads/{thread_id}/runs": {"threads:search", "threads:read"},
    "GET /": {"threads:search", "threads:read"},
    "GET /ui/recent": {"threads:search", "threads:read"},
}
"""What it takes to show something there. Elsewhere that is reading: a search shows what it finds whole."""

_READS = {"thread": "threads:read", "assistant": "assistants:read", "cron": "crons:read", "item": "store:get"}
_UNDOING = ("POST /threads/{thread_id}/runs undoing another", "POST /threads/{thread_id}/runs/{run_id}/cancel and undo")
"""What they remove is what a run in progress has done: that is to cancel it, as `action` says."""

ANSWERS = {
    "POST /assistants/count": {"assistants:search"},
    "POST /threads/count": {"threads:search"},
    "POST /runs/crons/count": {"crons:search"},
    "POST /store/namespaces": {"store:list_namespaces"},
    "GET /assistants/{assistant_id}/graph": {"assistants:read"},
    "GET /assistants/{assistant_id}/schemas": {"assistants:read"},
    "GET /assistants/{assistant_id}/subgraphs": {"assistants:read"},
    "GET /assistants/{assistant_id}/subgraphs/{namespace:path}": {"assistants:read"},
    "GET /ui/graphs/{graph_id}": {"assistants:read"},
    "POST /threads/{thread_id}/runs by an assistant": {"assistants:read"},
    "POST /runs by an assistant": {"assistants:read"},
    "POST /runs/crons by an assistant": {"assistants:read", "threads:create_run"},
    "GET /threads/{thread_id}/storage": {"threads:read"},
    "POST /threads/prune to its latest state": {"threads:delete"},
    "POST /threads/{thread_id}/runs with a webhook": {"threads:read"},
    "POST /threads/{thread_id}/runs/{run_id}/cancel and wait": {"threads:read"},
    "POST /runs/crons": {"threads:create_run"},
    "POST /runs/crons kept": {"threads:create_run", "threads:create"},
    "POST /threads/{thread_id}/runs/crons": {"threads:create_run", "threads:read"},
    "PATCH /runs/crons/{cron_id}": {"threads:create_run", "threads:read"},
    "POST /threads/{thread_id}/commands agent.getTree": {"threads:read"},
    "socket agent.getTree": {"threads:read"},
    "GET /ui/threads/{thread_id}/runs/{run_id}/now": {"threads:read"},
}
"""Where it shows nothing else that an operation was allowed: there is an answer, which is not empty."""
_EMPTY = ("", "0", '{"namespaces":[]}', '{"pruned_count":0}', '{"gone":true}')


def effects(door: Door, attempt: Attempt, before: World, after: World) -> set[str]:
    """The operations that this attempt was: by what was done, by what was shown, and by that there is an answer."""
    status, text = attempt
    found = done(before, after)
    if door.name in _UNDOING:
        found = {"threads:update" if operation == "threads:delete" else operation for operation in found}
    for kind, word in SHOWN.items():
        if word in text:
            found |= SEARCHES.get(door.name, {_READS[kind]})
    if door.name in ANSWERS and status < 300 and text not in _EMPTY:
        found |= ANSWERS[door.name]
    return found


@pytest.fixture
async def stage(
    served: Served,
    services: Services,
    settings: Settings,
    graphs: Registry,
    ann: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    rules: Any,
    due_times: DueTimes,
) -> Any:
    """With everything there, and a worker that executes runs."""
    async with working(settings, graphs):
        stage = Stage(served, services, settings, graphs, ann, admin, rules, due_times)
        await stage.build()
        yield stage


async def tried(stage: Stage, door: Door, *, refused: str = "", filtered: str = "") -> set[str]:
    """The operations that it was, while one is refused, or allowed for what there is not. What the attempt has used up
    is there again."""
    before = await World.read(stage.services)
    stage.rules.refused = {refused}
    stage.rules.filters = {filtered: EXCLUDES}
    attempt = await door.attempt(stage)
    stage.rules.reset()
    found = effects(door, attempt, before, await World.read(stage.services))
    assert attempt[0] < 500, attempt
    if found - set(_READS.values()):
        await stage.build()
    return found


DOES = {
    "POST /assistants": "assistants:create",
    "POST /assistants that exists": "assistants:read",
    "POST /assistants/search": "assistants:search",
    "POST /assistants/count": "assistants:search",
    "GET /assistants/{assistant_id}": "assistants:read",
    "PATCH /assistants/{assistant_id}": "assistants:read assistants:update",
    "POST /assistants/{assistant_id}/versions": "assistants:read",
    "POST /assistants/{assistant_id}/latest": "assistants:read assistants:update",
    "GET /assistants/{assistant_id}/graph": "assistants:read",
    "GET /assistants/{assistant_id}/schemas": "assistants:read",
    "GET /assistants/{assistant_id}/subgraphs": "assistants:read",
    "GET /assistants/{assistant_id}/subgraphs/{namespace:path}": "assistants:read",
    "DELETE /assistants/{assistant_id}": "assistants:delete",
    "DELETE /assistants/{assistant_id} with threads": "assistants:delete threads:delete",
    "POST /threads": "threads:create",
    "POST /threads that exists": "threads:read",
    "POST /threads with supersteps": "threads:create threads:update",
    "POST /threads/search": "threads:search",
    "POST /threads/count": "threads:search",
    "GET /threads/{thread_id}": "threads:read",
    "PATCH /threads/{thread_id}": "threads:read threads:update",
    "PATCH /threads/{thread_id} for a time": "threads:delete threads:read threads:update",
    "GET /threads/{thread_id}/storage": "threads:read",
    "GET /threads/{thread_id}/stream": "threads:read",
    "GET /threads/{thread_id}/state": "threads:read",
    "POST /threads/{thread_id}/state": "threads:update",
    "PATCH /threads/{thread_id}/state": "threads:read threads:update",
    "POST /threads/{thread_id}/state/checkpoint": "threads:read",
    "GET /threads/{thread_id}/state/{checkpoint_id}": "threads:read",
    "POST /threads/{thread_id}/history": "threads:read",
    "GET /threads/{thread_id}/history": "threads:read",
    "POST /threads/{thread_id}/copy": "threads:create threads:read",
    "POST /threads/prune": "threads:delete",
    "POST /threads/prune to its latest state": "threads:delete",
    "DELETE /threads/{thread_id}": "threads:delete",
    "POST /threads/{thread_id}/runs": "threads:create_run",
    "POST /threads/{thread_id}/runs of no thread": "threads:create threads:create_run",
    "POST /threads/{thread_id}/runs of a thread that may be made": "threads:create_run",
    "POST /threads/{thread_id}/runs with a webhook": "threads:create_run threads:read",
    "POST /threads/{thread_id}/runs instead of another": "threads:create_run threads:update",
    "POST /threads/{thread_id}/runs undoing another": "threads:create_run threads:update",
    "POST /threads/{thread_id}/runs that answers": "threads:create_run",
    "POST /threads/{thread_id}/runs by an assistant": "assistants:read threads:create_run",
    "POST /threads/{thread_id}/runs/wait": "threads:create_run threads:read",
    "POST /threads/{thread_id}/runs/wait of no thread": "threads:create threads:create_run",
    "POST /threads/{thread_id}/runs/stream": "threads:create_run threads:read",
    "POST /threads/{thread_id}/runs/stream of no thread": "threads:create threads:create_run",
    "GET /threads/{thread_id}/runs": "threads:read threads:search",
    "GET /threads/{thread_id}/runs/{run_id}": "threads:read",
    "GET /threads/{thread_id}/runs/{run_id}/join": "threads:read",
    "GET /threads/{thread_id}/runs/{run_id}/stream": "threads:read",
    "POST /threads/{thread_id}/runs/{run_id}/cancel": "threads:update",
    "POST /threads/{thread_id}/runs/{run_id}/cancel and wait": "threads:read threads:update",
    "POST /threads/{thread_id}/runs/{run_id}/cancel and undo": "threads:update",
    "DELETE /threads/{thread_id}/runs/{run_id}": "threads:delete",
    "POST /runs": "threads:create_run",
    "POST /runs kept": "threads:create threads:create_run",
    "POST /runs by an assistant": "assistants:read threads:create_run",
    "POST /runs/batch": "threads:create_run",
    "POST /runs/batch kept": "threads:create threads:create_run",
    "POST /runs/wait": "threads:create_run",
    "POST /runs/wait kept": "threads:create threads:create_run",
    "POST /runs/stream": "threads:create_run",
    "POST /runs/stream kept": "threads:create threads:create_run",
    "POST /runs/cancel": "threads:update",
    "POST /runs/cancel of all threads": "threads:update",
    "GET /runs/{run_id}/stream": "threads:read",
    "POST /runs/crons": "crons:create threads:create_run",
    "POST /runs/crons kept": "crons:create threads:create threads:create_run",
    "POST /runs/crons by an assistant": "assistants:read crons:create threads:create_run",
    "POST /threads/{thread_id}/runs/crons": "crons:create threads:create_run threads:read",
    "POST /runs/crons/search": "crons:search",
    "POST /runs/crons/count": "crons:search",
    "GET /runs/crons/{cron_id}": "crons:read",
    "PATCH /runs/crons/{cron_id}": "crons:read crons:update threads:create_run threads:read",
    "PATCH /runs/crons/{cron_id} that stops it": "crons:read crons:update",
    "DELETE /runs/crons/{cron_id}": "crons:delete",
    "a cron on a thread is due": "threads:create_run",
    "a cron whose threads stay is due": "threads:create threads:create_run",
    "POST /threads/{thread_id}/commands run.start": "threads:create_run",
    "POST /threads/{thread_id}/commands run.start of no thread": "threads:create threads:create_run",
    "POST /threads/{thread_id}/commands input.respond": "threads:create_run",
    "POST /threads/{thread_id}/commands agent.getTree": "threads:read",
    "POST /threads/{thread_id}/stream/events": "threads:read",
    "socket run.start": "threads:create_run",
    "socket run.start of no thread": "threads:create threads:create_run",
    "socket input.respond": "threads:create_run",
    "socket agent.getTree": "threads:read",
    "socket subscription.subscribe": "threads:read",
    "PUT /store/items": "store:put",
    "GET /store/items": "store:get",
    "DELETE /store/items": "store:delete",
    "POST /store/items/search": "store:search",
    "POST /store/namespaces": "store:list_namespaces",
    "GET /": "threads:read threads:search",
    "GET /ui/recent": "threads:read threads:search",
    "GET /ui/graphs/{graph_id}": "assistants:read threads:read",
    "GET /ui/threads/{thread_id}": "threads:read",
    "GET /ui/threads/{thread_id}/runs/{run_id}": "threads:read",
    "GET /ui/threads/{thread_id}/runs/{run_id}/events": "threads:read",
    "GET /ui/threads/{thread_id}/runs/{run_id}/now": "threads:read",
}
"""The operations that each route and socket command needs, as a client observes them."""

FILTERED = [each for each in OPERATIONS if not each.startswith("store:") or each == "store:search"]
"""Operations whose handlers may answer with a filter that means something."""

GOING = {
    "POST /runs",
    "POST /runs by an assistant",
    "POST /runs/batch",
    "POST /runs/wait",
    "POST /runs/stream",
    "POST /runs/crons",
    "POST /runs/crons by an assistant",
}
"""Their threads go with their runs and are nobody's: a filter of `threads:create_run` has nothing to exclude."""


def test_every_route_is_an_entry_point() -> None:
    rows = {(door.method, plain_path(door.path)) for door in DOORS if isinstance(door, Row)}
    routes = [endpoint for endpoint in (*ENDPOINTS, *site.ENDPOINTS) if not endpoint.access.public]
    assert {(each.method, plain_path(each.path)) for each in routes} == rows
    assert {operation for words in DOES.values() for operation in words.split()} == set(OPERATIONS)
    declared = {operation for each in routes for operation in each.access.required | each.access.optional}
    assert declared == set(OPERATIONS)


@pytest.mark.timeout(240)
async def test_every_entry_point_does_its_operations(stage: Stage) -> None:
    found = {door.name: await tried(stage, door) for door in DOORS}
    assert found == {name: set(words.split()) for name, words in DOES.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_denied_operation_is_denied_at_every_entry_point(stage: Stage, operation: Operation) -> None:
    doors = [door for door in DOORS if operation in DOES[door.name].split()]
    found = {door.name: await tried(stage, door, refused=operation) for door in doors}
    assert {name: happened for name, happened in found.items() if operation in happened} == {}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("operation", FILTERED)
async def test_a_filter_applies_at_every_entry_point(stage: Stage, operation: Operation) -> None:
    doors = [door for door in DOORS if operation in DOES[door.name].split()]
    if operation == "threads:create_run":
        doors = [door for door in doors if door.name not in GOING]
    found = {door.name: await tried(stage, door, filtered=operation) for door in doors}
    assert {name: happened for name, happened in found.items() if operation in happened} == {}
