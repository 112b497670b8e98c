"""An operation needs its permission at every entry point.

An entry point is a route with a kind of body, a command of the event protocol over HTTP or a WebSocket, or a due cron.
Each is called once with everything allowed: `OPERATIONS_OF` lists the operations that it then does. Then each operation
in turn is denied, or its filter excludes everything, and every entry point is called again: it may not do that
operation nor show its data. A route without an entry point fails the test.
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
from slipway.assistants.search import AssistantQuery
from slipway.crons.search import CronQuery
from slipway.graphs.registry import Registry
from slipway.services import Services
from slipway.settings import Settings
from slipway.threads.search import ThreadQuery
from slipway_workers.duties.scheduler import Scheduler
from tests.attacks.rules_server import (
    DELAYED_RUN,
    RUN,
    YEARLY,
    admin,
    ann,
    due_times,
    graphs,
    post_json,
    rules,
    served,
    services,
    settings,
)
from tests.crons.conftest import DueTimes
from tests.http.conftest import Served
from tests.worker import running_worker

__all__ = ["admin", "ann", "due_times", "graphs", "rules", "served", "services", "settings"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
NEW_ID = "0199aaaa-bbbb-7ccc-8ddd-{:012x}"
KEEPING_RUN = DELAYED_RUN | {"on_completion": "keep"}
CRON = RUN | {"schedule": YEARLY}
EXCLUDES_ALL = {"owner": "nobody"}
"""A filter that matches no record."""

_RESPONSE_WITHIN_S = 20

SECRETS = {
    "thread": "secret-of-the-thread",
    "assistant": "secret-of-the-assistant",
    "cron": "secret-of-the-cron",
    "item": "secret-of-the-item",
}
"""A text in a record of each kind. A response that has it shows the record."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids of the records that exist when an entry point is called: `busy` is a thread with a queued run
    (`pending_run_id`), `interrupted` one with an interrupt, `keeping_cron_id` a cron that keeps its threads."""

    thread_id: str
    interrupted: str
    busy: str
    run_id: str
    assistant_id: str
    cron_id: str
    keeping_cron_id: str
    pending_run_id: str
    interrupt_id: str
    checkpoint_id: str


@dataclass(slots=True)
class Scenario:
    """A server, the user who calls the entry points, and the records that they reach."""

    served: Served
    services: Services
    settings: Settings
    graphs: Registry
    ann: httpx.AsyncClient
    admin: httpx.AsyncClient
    rules: Any
    due_times: DueTimes
    ids: Ids | None = None
    calls: int = 0

    def names(self) -> dict[str, str]:
        """The values of the `{names}` in an entry point."""
        assert self.ids is not None
        self.calls += 1
        ids = {name: str(getattr(self.ids, name)) for name in Ids.__slots__}
        return ids | {"new_id": NEW_ID.format(self.calls), "namespace": "n", "graph_id": "greet"}

    async def build(self) -> None:
        """Create all records that entry points name. Called again after an entry point changed one."""
        described = {"graph_id": "greet", "description": SECRETS["assistant"], "metadata": {"owner": "ann"}}
        assistant = (await post_json(self.ann, "/assistants", described))["assistant_id"]
        thread = (await post_json(self.ann, "/threads", {}))["thread_id"]
        input_ = {"text": SECRETS["thread"]}
        await post_json(self.ann, f"/threads/{thread}/runs/wait", {"assistant_id": assistant, "input": input_})
        (run,) = (await self.ann.get(f"/threads/{thread}/runs")).json()
        state = (await self.ann.get(f"/threads/{thread}/state")).json()
        interrupted = (await post_json(self.ann, "/threads", {}))["thread_id"]
        await post_json(self.ann, f"/threads/{interrupted}/runs/wait", {"assistant_id": "asking", "input": input_})
        interrupts = (await self.ann.get(f"/threads/{interrupted}")).json()["interrupts"]
        busy = (await post_json(self.ann, "/threads", {}))["thread_id"]
        pending_run_id = await post_json(self.ann, f"/threads/{busy}/runs", DELAYED_RUN)
        cron = CRON | {"metadata": {"about": SECRETS["cron"]}}
        await self.ann.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"text": SECRETS["item"]}})
        self.ids = Ids(
            thread_id=thread,
            interrupted=interrupted,
            busy=busy,
            run_id=run["run_id"],
            pending_run_id=pending_run_id["run_id"],
            assistant_id=assistant,
            cron_id=(await post_json(self.ann, f"/threads/{thread}/runs/crons", cron))["cron_id"],
            keeping_cron_id=(await post_json(self.ann, "/runs/crons", cron | {"on_run_completed": "keep"}))["cron_id"],
            interrupt_id=next(iter(interrupts.values()))[0]["id"],
            checkpoint_id=state["checkpoint"]["checkpoint_id"],
        )


Outcome = tuple[int, str]
"""The status and the text of a response."""


@dataclass(frozen=True, slots=True)
class RouteCall:
    """A request to a route. In its path, body and query, `{names}` of `Ids` are replaced by ids, and `{new_id}` by an
    id that no record has. `path_ids` replaces ids. `variant` distinguishes several calls of one route. The response of
    one that `follows` does not end."""

    method: str
    path: str
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    path_ids: dict[str, str] = field(default_factory=dict)
    follows: bool = False

    @property
    def name(self) -> str:
        """Method, path and variant."""
        return f"{self.method} {self.path}{f' {self.variant}' if self.variant else ''}"

    async def call(self, scenario: Scenario) -> Outcome:
        """The response; if it does not end, its text until it shows a record."""
        ids = scenario.names()
        ids |= {name: text.format_map(ids) for name, text in self.path_ids.items()}
        path = plain_path(self.path).format_map(ids)
        content = None if self.body is None else json.dumps(_filled(self.body, ids))
        query = {name: text.format_map(ids) for name, text in self.query.items()}
        text = ""
        async with scenario.ann.stream(self.method, path, params=query, content=content) as response:
            async with asyncio.timeout(_RESPONSE_WITHIN_S):
                async for chunk in response.aiter_text():
                    text += chunk
                    if self.follows and any(secret in text for secret in SECRETS.values()):
                        break
        return response.status_code, text


def _filled(body: Any, ids: dict[str, str]) -> Any:
    """`body` with its `{names}` replaced by ids."""
    if isinstance(body, dict):
        return {name: _filled(each, ids) for name, each in body.items()}
    if isinstance(body, list):
        return [_filled(each, ids) for each in body]
    return body.format_map(ids) if isinstance(body, str) and "{" in body else body


@dataclass(frozen=True, slots=True)
class SocketCommand:
    """A command of the event protocol, over a WebSocket."""

    name: str
    thread: str
    command: dict[str, Any]

    async def call(self, scenario: Scenario) -> Outcome:
        """The status is 403 for an error frame. A WebSocket is closed with 4000 and the status."""
        ids = scenario.names()
        url = f"{scenario.served.url.replace('http', 'ws', 1)}/threads/{ids[self.thread]}/stream/events"
        async with connect(url, additional_headers={"authorization": "Bearer ann-token"}) as socket:
            with suppress(ConnectionClosed):
                await socket.send(json.dumps(_filled(self.command, ids)))
                text = ""
                async with asyncio.timeout(_RESPONSE_WITHIN_S):
                    while '"type":"success"' not in text and '"type":"error"' not in text:
                        text += str(await socket.recv())
                return (200 if '"type":"success"' in text else 403), text
        return (socket.close_code or 0) - 4000, ""


@dataclass(frozen=True, slots=True)
class DueCron:
    """A cron is due."""

    name: str
    cron: str

    async def call(self, scenario: Scenario) -> Outcome:
        """The status is 200 if the round created a run, otherwise 403."""
        cron_id = scenario.names()[self.cron]
        await scenario.due_times.make_due(cron_id, scenario.calls % 1000)
        created = await Scheduler(scenario.services).run_once()
        return 200 if created else 403, ""


EntryPoint = RouteCall | SocketCommand | DueCron

_THREAD = "/threads/{thread_id}"
_RUNS = f"{_THREAD}/runs"
_RUN = f"{_RUNS}/{{run_id}}"
_START = {"id": 1, "method": "run.start", "params": RUN}
_ANSWER = {"id": 1, "method": "input.respond", "params": {"interrupt_id": "{interrupt_id}", "response": "yes"}}
_TREE: dict[str, Any] = {"id": 1, "method": "agent.getTree", "params": {}}
_SUBSCRIBE = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values"]}}
_STEPS = [{"updates": [{"values": {"text": "x"}, "as_node": "say"}]}]
_ON_BUSY = {"thread_id": "{busy}", "run_id": "{pending_run_id}"}
_HOOK = {"webhook": "http://localhost:9/hook"}

ENTRY_POINTS: tuple[EntryPoint, ...] = (
    # assistants
    RouteCall("POST", "/assistants", {"graph_id": "greet"}),
    RouteCall(
        "POST",
        "/assistants",
        {"graph_id": "greet", "assistant_id": "{assistant_id}", "if_exists": "do_nothing"},
        variant="that exists",
    ),
    RouteCall("POST", "/assistants/search", {"metadata": {"owner": "ann"}}),
    RouteCall("POST", "/assistants/count", {}),
    RouteCall("GET", "/assistants/{assistant_id}"),
    RouteCall("PATCH", "/assistants/{assistant_id}", {"metadata": {"about": "{new_id}"}}),
    RouteCall("POST", "/assistants/{assistant_id}/versions", {}),
    RouteCall("POST", "/assistants/{assistant_id}/latest", {"version": 1}),
    RouteCall("GET", "/assistants/{assistant_id}/graph"),
    RouteCall("GET", "/assistants/{assistant_id}/schemas"),
    RouteCall("GET", "/assistants/{assistant_id}/subgraphs"),
    RouteCall("GET", "/assistants/{assistant_id}/subgraphs/{namespace:path}"),
    RouteCall("DELETE", "/assistants/{assistant_id}"),
    RouteCall("DELETE", "/assistants/{assistant_id}", query={"delete_threads": "true"}, variant="with threads"),
    # threads
    RouteCall("POST", "/threads", {}),
    RouteCall("POST", "/threads", {"thread_id": "{thread_id}", "if_exists": "do_nothing"}, variant="that exists"),
    RouteCall("POST", "/threads", {"metadata": {"graph_id": "greet"}, "supersteps": _STEPS}, variant="with supersteps"),
    RouteCall("POST", "/threads/search", {}),
    RouteCall("POST", "/threads/count", {}),
    RouteCall("GET", _THREAD),
    RouteCall("PATCH", _THREAD, {"metadata": {"about": "{new_id}"}}),
    RouteCall("PATCH", _THREAD, {"ttl": 600}, variant="with a ttl"),
    RouteCall("GET", f"{_THREAD}/storage"),
    RouteCall("GET", f"{_THREAD}/stream", query={"since_event_id": "-", "stream_modes": "run_modes"}, follows=True),
    RouteCall("POST", f"{_THREAD}/stream/ticket"),
    RouteCall("POST", f"{_THREAD}/stream/events/ticket"),
    RouteCall("GET", f"{_THREAD}/state"),
    RouteCall("POST", f"{_THREAD}/state", {"values": {"text": "x"}, "as_node": "say"}),
    RouteCall("PATCH", f"{_THREAD}/state", {"metadata": {"about": "{new_id}"}}),
    RouteCall("POST", f"{_THREAD}/state/checkpoint", {"checkpoint": {}}),
    RouteCall("GET", f"{_THREAD}/state/{{checkpoint_id}}"),
    RouteCall("POST", f"{_THREAD}/history", {}),
    RouteCall("GET", f"{_THREAD}/history"),
    RouteCall("POST", f"{_THREAD}/copy"),
    RouteCall("POST", "/threads/prune", {"thread_ids": ["{thread_id}"]}),
    RouteCall(
        "POST",
        "/threads/prune",
        {"thread_ids": ["{thread_id}"], "strategy": "keep_latest"},
        variant="keeping the latest state",
    ),
    RouteCall("DELETE", _THREAD),
    # runs on a thread
    RouteCall("POST", _RUNS, DELAYED_RUN),
    RouteCall(
        "POST",
        _RUNS,
        DELAYED_RUN | {"if_not_exists": "create"},
        variant="on a new thread",
        path_ids={"thread_id": "{new_id}"},
    ),
    RouteCall("POST", _RUNS, DELAYED_RUN | {"if_not_exists": "create"}, variant="with if_not_exists"),
    RouteCall("POST", _RUNS, DELAYED_RUN | _HOOK, variant="with a webhook"),
    RouteCall(
        "POST",
        _RUNS,
        DELAYED_RUN | {"multitask_strategy": "interrupt"},
        variant="interrupting another",
        path_ids=_ON_BUSY,
    ),
    RouteCall(
        "POST",
        _RUNS,
        DELAYED_RUN | {"multitask_strategy": "rollback"},
        variant="rolling another back",
        path_ids=_ON_BUSY,
    ),
    RouteCall(
        "POST",
        _RUNS,
        {"assistant_id": "asking", "command": {"resume": "yes"}},
        variant="with an answer",
        path_ids={"thread_id": "{interrupted}"},
    ),
    RouteCall("POST", _RUNS, DELAYED_RUN | {"assistant_id": "{assistant_id}"}, variant="with an assistant id"),
    RouteCall("POST", f"{_RUNS}/wait", RUN | {"input": None}),
    RouteCall(
        "POST",
        f"{_RUNS}/wait",
        RUN | {"if_not_exists": "create"},
        variant="on a new thread",
        path_ids={"thread_id": "{new_id}"},
    ),
    RouteCall("POST", f"{_RUNS}/stream", RUN | {"input": None}),
    RouteCall(
        "POST",
        f"{_RUNS}/stream",
        RUN | {"if_not_exists": "create"},
        variant="on a new thread",
        path_ids={"thread_id": "{new_id}"},
    ),
    RouteCall("GET", _RUNS),
    RouteCall("GET", _RUN),
    RouteCall("GET", f"{_RUN}/join"),
    RouteCall("GET", f"{_RUN}/stream", query={"since_event_id": "-"}),
    RouteCall("POST", f"{_RUN}/stream/ticket"),
    RouteCall("POST", f"{_RUN}/cancel", path_ids=_ON_BUSY),
    RouteCall("POST", f"{_RUN}/cancel", query={"wait": "true"}, variant="and wait", path_ids=_ON_BUSY),
    RouteCall("POST", f"{_RUN}/cancel", query={"action": "rollback"}, variant="and roll back", path_ids=_ON_BUSY),
    RouteCall("DELETE", _RUN),
    RouteCall("GET", "/ops/runs"),
    RouteCall("GET", "/ops/runs/{run_id}/why"),
    RouteCall("GET", "/ops/runs/{run_id}/trace", query={"content": "true"}),
    # runs without a thread
    RouteCall("POST", "/runs", DELAYED_RUN),
    RouteCall("POST", "/runs", KEEPING_RUN, variant="keeping the thread"),
    RouteCall("POST", "/runs", DELAYED_RUN | {"assistant_id": "{assistant_id}"}, variant="with an assistant id"),
    RouteCall("POST", "/runs/batch", [DELAYED_RUN]),
    RouteCall("POST", "/runs/batch", [KEEPING_RUN], variant="keeping the thread"),
    RouteCall("POST", "/runs/wait", RUN),
    RouteCall("POST", "/runs/wait", RUN | {"on_completion": "keep"}, variant="keeping the thread"),
    RouteCall("POST", "/runs/stream", RUN),
    RouteCall("POST", "/runs/stream", RUN | {"on_completion": "keep"}, variant="keeping the thread"),
    RouteCall("POST", "/runs/cancel", {"thread_id": "{busy}", "run_ids": ["{pending_run_id}"]}),
    RouteCall("POST", "/runs/cancel", {"status": "all"}, variant="of all threads"),
    RouteCall("GET", "/runs/{run_id}/stream", query={"since_event_id": "-"}),
    # crons
    RouteCall("POST", "/runs/crons", CRON),
    RouteCall("POST", "/runs/crons", CRON | {"on_run_completed": "keep"}, variant="keeping the thread"),
    RouteCall("POST", "/runs/crons", CRON | {"assistant_id": "{assistant_id}"}, variant="with an assistant id"),
    RouteCall("POST", f"{_RUNS}/crons", CRON),
    RouteCall("POST", "/runs/crons/search", {}),
    RouteCall("POST", "/runs/crons/count", {}),
    RouteCall("GET", "/runs/crons/{cron_id}"),
    RouteCall("PATCH", "/runs/crons/{cron_id}", {"metadata": {"note": "{new_id}"}}),
    RouteCall("PATCH", "/runs/crons/{cron_id}", {"enabled": False}, variant="that disables it"),
    RouteCall("DELETE", "/runs/crons/{cron_id}"),
    DueCron("a cron on a thread is due", "cron_id"),
    DueCron("a cron that keeps its threads is due", "keeping_cron_id"),
    # the event protocol
    RouteCall("POST", f"{_THREAD}/commands", _START, variant="run.start"),
    RouteCall(
        "POST", f"{_THREAD}/commands", _START, variant="run.start on a new thread", path_ids={"thread_id": "{new_id}"}
    ),
    RouteCall("POST", f"{_THREAD}/commands", _ANSWER, variant="input.respond", path_ids={"thread_id": "{interrupted}"}),
    RouteCall("POST", f"{_THREAD}/commands", _TREE, variant="agent.getTree"),
    RouteCall("POST", f"{_THREAD}/stream/events", {"channels": ["values"]}, follows=True),
    SocketCommand("socket run.start", "thread_id", _START),
    SocketCommand("socket run.start on a new thread", "new_id", _START),
    SocketCommand("socket input.respond", "interrupted", _ANSWER),
    SocketCommand("socket agent.getTree", "thread_id", _TREE),
    SocketCommand("socket subscription.subscribe", "thread_id", _SUBSCRIBE),
    # the store
    RouteCall("PUT", "/store/items", {"namespace": ["n"], "key": "{new_id}", "value": {"a": 1}}),
    RouteCall("GET", "/store/items", query={"namespace": "n", "key": "k"}),
    RouteCall("DELETE", "/store/items", {"namespace": ["n"], "key": "k"}),
    RouteCall("POST", "/store/items/search", {"namespace_prefix": ["n"]}),
    RouteCall("POST", "/store/namespaces", {}),
    # pages
    RouteCall("GET", "/"),
    RouteCall("GET", "/ui/recent"),
    RouteCall("GET", "/ui/graphs/{graph_id}", query={"from": "{run_id}", "thread": "{thread_id}"}),
    RouteCall("GET", "/ui/threads/{thread_id}"),
    RouteCall("GET", "/ui/threads/{thread_id}/runs/{run_id}"),
    RouteCall("GET", "/ui/threads/{thread_id}/runs/{run_id}/events"),
    RouteCall("GET", "/ui/threads/{thread_id}/runs/{run_id}/now"),
)


@dataclass(frozen=True, slots=True)
class StoredData:
    """All stored records. `threads` has no temporary threads."""

    threads: dict[str, Any]
    states: dict[str, int]
    ttls: dict[str, Any]
    runs: set[str]
    thread_runs: set[str]
    cancelled: set[str]
    assistants: dict[str, Any]
    crons: dict[str, Any]
    items: dict[tuple[str, ...], Any]

    @classmethod
    async def read(cls, services: Services) -> StoredData:
        pipeline, keys = services.pipeline, services.keys
        found = (await services.threads.search(ThreadQuery(), limit=10_000)).records
        assistants = await services.assistants.search(AssistantQuery(), limit=1000, offset=0)
        crons = await services.crons.search(CronQuery(), limit=1000)
        temporary = await asyncio.gather(
            *(pipeline.send("HEXISTS", keys.thread(each.thread_id), "temporary") for each in found)
        )
        lasting = {each.thread_id: each for each, temp in zip(found, temporary, strict=True) if not temp}
        lists = await asyncio.gather(*(services.runs.list(name, limit=1000) for name in lasting))
        runs = [run for each in lists for run in each]
        states = await asyncio.gather(*(pipeline.send("ZCARD", keys.thread_states(name)) for name in lasting))
        logs = await pipeline.send("KEYS", keys.events("*"))
        return cls(
            threads={name: _own_metadata(thread.metadata) for name, thread in lasting.items()},
            states=dict(zip(lasting, states, strict=True)),
            ttls={name: thread.ttl for name, thread in lasting.items()},
            runs={name.decode().split(":")[-2] for name in logs},
            thread_runs={run.run_id for run in runs},
            cancelled={run.run_id for run in runs if run.phase == "cancelled" or run.cancel},
            assistants={each.assistant_id: each.public() for each in assistants.records},
            crons={each.cron_id: _stable(each.public()) for each in crons.records},
            items={(*item.namespace, item.key): item.value for item in await services.store.asearch((), limit=1000)},
        )


def _own_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata without the members that a run writes."""
    return {name: value for name, value in metadata.items() if name not in ("graph_id", "assistant_id")}


def _stable(cron: dict[str, Any]) -> dict[str, Any]:
    """The cron without the members that a due time changes."""
    changing = ("next_run_date", "last_run_id", "problem", "updated_at")
    return {name: value for name, value in cron.items() if name not in changing}


def _changed(before: dict[Any, Any], after: dict[Any, Any]) -> bool:
    """Whether a record that still exists was changed."""
    return any(after.get(name, value) != value for name, value in before.items())


def stored_effects(before: StoredData, after: StoredData) -> set[str]:
    """The operations that changed `before` into `after`."""
    deleted_runs = before.thread_runs - after.thread_runs
    deleted_crons = {
        name for name in before.crons.keys() - after.crons.keys() if _outlives_its_thread(before.crons[name], after)
    }
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
        "threads:delete": bool(before.threads.keys() - after.threads.keys()) or bool(deleted_runs) or ttl,
        "threads:create_run": bool(after.runs - before.runs),
        "crons:create": bool(after.crons.keys() - before.crons.keys()),
        "crons:update": _changed(before.crons, after.crons),
        "crons:delete": bool(deleted_crons),
        "store:put": bool(after.items.keys() - before.items.keys()),
        "store:delete": bool(before.items.keys() - after.items.keys()),
    }
    return {operation for operation, happened in found.items() if happened}


def _outlives_its_thread(cron: dict[str, Any], after: StoredData) -> bool:
    """Whether the thread of the cron still exists. A cron that is deleted with its thread is no `crons:delete`."""
    return cron["thread_id"] is None or cron["thread_id"] in after.threads


NEEDED_TO_LIST = {
    "POST /assistants/search": {"assistants:search"},
    "POST /threads/search": {"threads:search"},
    "POST /runs/crons/search": {"crons:search"},
    "POST /store/items/search": {"store:search"},
    "GET /threads/{thread_id}/runs": {"threads:search", "threads:read"},
    "GET /ops/runs": {"threads:search"},
    "GET /": {"threads:search", "threads:read"},
    "GET /ui/recent": {"threads:search", "threads:read"},
}
"""The operations that are needed to show a record in these lists. Everywhere else it is reading."""

_READS = {"thread": "threads:read", "assistant": "assistants:read", "cron": "crons:read", "item": "store:get"}
_ROLLBACKS = (
    "POST /threads/{thread_id}/runs rolling another back",
    "POST /threads/{thread_id}/runs/{run_id}/cancel and roll back",
)
"""Rollbacks delete the run that they cancel, which is `threads:update` with the action `rollback`."""

NEEDED_TO_RESPOND = {
    "POST /assistants/count": {"assistants:search"},
    "POST /threads/count": {"threads:search"},
    "POST /runs/crons/count": {"crons:search"},
    "POST /store/namespaces": {"store:list_namespaces"},
    "GET /assistants/{assistant_id}/graph": {"assistants:read"},
    "GET /assistants/{assistant_id}/schemas": {"assistants:read"},
    "GET /assistants/{assistant_id}/subgraphs": {"assistants:read"},
    "GET /assistants/{assistant_id}/subgraphs/{namespace:path}": {"assistants:read"},
    "GET /ui/graphs/{graph_id}": {"assistants:read"},
    "POST /threads/{thread_id}/runs with an assistant id": {"assistants:read"},
    "POST /runs with an assistant id": {"assistants:read"},
    "POST /runs/crons with an assistant id": {"assistants:read", "threads:create_run"},
    "GET /threads/{thread_id}/storage": {"threads:read"},
    "POST /threads/prune keeping the latest state": {"threads:delete"},
    "POST /threads/{thread_id}/runs with a webhook": {"threads:read"},
    "POST /threads/{thread_id}/runs/{run_id}/cancel and wait": {"threads:read"},
    "POST /runs/crons": {"threads:create_run"},
    "POST /runs/crons keeping the thread": {"threads:create_run", "threads:create"},
    "POST /threads/{thread_id}/runs/crons": {"threads:create_run", "threads:read"},
    "PATCH /runs/crons/{cron_id}": {"threads:create_run", "threads:read"},
    "POST /threads/{thread_id}/commands agent.getTree": {"threads:read"},
    "socket agent.getTree": {"threads:read"},
    "GET /ops/runs/{run_id}/why": {"threads:read"},
    "GET /ops/runs/{run_id}/trace": {"threads:read"},
    "GET /ui/threads/{thread_id}/runs/{run_id}/now": {"threads:read"},
}
"""Entry points whose only sign of an allowed operation is a response that is not empty."""
_EMPTY_RESPONSES = ("", "0", '{"namespaces":[]}', '{"pruned_count":0}', '{"deleted":true}')


def observed_operations(entry_point: EntryPoint, outcome: Outcome, before: StoredData, after: StoredData) -> set[str]:
    """The operations that were done, according to the stored records, the records shown, and the response."""
    status, text = outcome
    found = stored_effects(before, after)
    if entry_point.name in _ROLLBACKS:
        found = {"threads:update" if operation == "threads:delete" else operation for operation in found}
    for kind, secret in SECRETS.items():
        if secret in text:
            found |= NEEDED_TO_LIST.get(entry_point.name, {_READS[kind]})
    if entry_point.name in NEEDED_TO_RESPOND and status < 300 and text not in _EMPTY_RESPONSES:
        found |= NEEDED_TO_RESPOND[entry_point.name]
    return found


@pytest.fixture
async def scenario(
    served: Served,
    services: Services,
    settings: Settings,
    graphs: Registry,
    ann: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    rules: Any,
    due_times: DueTimes,
) -> Any:
    """A scenario with all records, and a worker that executes runs."""
    async with running_worker(settings, graphs):
        scenario = Scenario(served, services, settings, graphs, ann, admin, rules, due_times)
        await scenario.build()
        yield scenario


async def call_and_observe(
    scenario: Scenario, entry_point: EntryPoint, *, denied: str = "", filtered: str = ""
) -> set[str]:
    """The operations that an entry point does while one is denied, or while its filter matches no record. Then builds
    the records again if the call changed one."""
    before = await StoredData.read(scenario.services)
    scenario.rules.denied = {denied}
    scenario.rules.filters = {filtered: EXCLUDES_ALL}
    outcome = await entry_point.call(scenario)
    scenario.rules.reset()
    found = observed_operations(entry_point, outcome, before, await StoredData.read(scenario.services))
    assert outcome[0] < 500, outcome
    if found - set(_READS.values()):
        await scenario.build()
    return found


OPERATIONS_OF = {
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
    "PATCH /threads/{thread_id} with a ttl": "threads:delete threads:read threads:update",
    "GET /threads/{thread_id}/storage": "threads:read",
    "GET /threads/{thread_id}/stream": "threads:read",
    "POST /threads/{thread_id}/stream/ticket": "",  # shows no record; tests/browser_access tests who gets a ticket
    "POST /threads/{thread_id}/stream/events/ticket": "",
    "GET /threads/{thread_id}/state": "threads:read",
    "POST /threads/{thread_id}/state": "threads:update",
    "PATCH /threads/{thread_id}/state": "threads:read threads:update",
    "POST /threads/{thread_id}/state/checkpoint": "threads:read",
    "GET /threads/{thread_id}/state/{checkpoint_id}": "threads:read",
    "POST /threads/{thread_id}/history": "threads:read",
    "GET /threads/{thread_id}/history": "threads:read",
    "POST /threads/{thread_id}/copy": "threads:create threads:read",
    "POST /threads/prune": "threads:delete",
    "POST /threads/prune keeping the latest state": "threads:delete",
    "DELETE /threads/{thread_id}": "threads:delete",
    "POST /threads/{thread_id}/runs": "threads:create_run",
    "POST /threads/{thread_id}/runs on a new thread": "threads:create threads:create_run",
    "POST /threads/{thread_id}/runs with if_not_exists": "threads:create_run",
    "POST /threads/{thread_id}/runs with a webhook": "threads:create_run threads:read",
    "POST /threads/{thread_id}/runs interrupting another": "threads:create_run threads:update",
    "POST /threads/{thread_id}/runs rolling another back": "threads:create_run threads:update",
    "POST /threads/{thread_id}/runs with an answer": "threads:create_run",
    "POST /threads/{thread_id}/runs with an assistant id": "assistants:read threads:create_run",
    "POST /threads/{thread_id}/runs/wait": "threads:create_run threads:read",
    "POST /threads/{thread_id}/runs/wait on a new thread": "threads:create threads:create_run",
    "POST /threads/{thread_id}/runs/stream": "threads:create_run threads:read",
    "POST /threads/{thread_id}/runs/stream on a new thread": "threads:create threads:create_run",
    "GET /threads/{thread_id}/runs": "threads:read threads:search",
    "GET /ops/runs": "threads:search",
    "GET /ops/runs/{run_id}/why": "threads:read",
    "GET /ops/runs/{run_id}/trace": "threads:read",
    "GET /threads/{thread_id}/runs/{run_id}": "threads:read",
    "GET /threads/{thread_id}/runs/{run_id}/join": "threads:read",
    "GET /threads/{thread_id}/runs/{run_id}/stream": "threads:read",
    "POST /threads/{thread_id}/runs/{run_id}/stream/ticket": "",
    "POST /threads/{thread_id}/runs/{run_id}/cancel": "threads:update",
    "POST /threads/{thread_id}/runs/{run_id}/cancel and wait": "threads:read threads:update",
    "POST /threads/{thread_id}/runs/{run_id}/cancel and roll back": "threads:update",
    "DELETE /threads/{thread_id}/runs/{run_id}": "threads:delete",
    "POST /runs": "threads:create_run",
    "POST /runs keeping the thread": "threads:create threads:create_run",
    "POST /runs with an assistant id": "assistants:read threads:create_run",
    "POST /runs/batch": "threads:create_run",
    "POST /runs/batch keeping the thread": "threads:create threads:create_run",
    "POST /runs/wait": "threads:create_run",
    "POST /runs/wait keeping the thread": "threads:create threads:create_run",
    "POST /runs/stream": "threads:create_run",
    "POST /runs/stream keeping the thread": "threads:create threads:create_run",
    "POST /runs/cancel": "threads:update",
    "POST /runs/cancel of all threads": "threads:update",
    "GET /runs/{run_id}/stream": "threads:read",
    "POST /runs/crons": "crons:create threads:create_run",
    "POST /runs/crons keeping the thread": "crons:create threads:create threads:create_run",
    "POST /runs/crons with an assistant id": "assistants:read crons:create threads:create_run",
    "POST /threads/{thread_id}/runs/crons": "crons:create threads:create_run threads:read",
    "POST /runs/crons/search": "crons:search",
    "POST /runs/crons/count": "crons:search",
    "GET /runs/crons/{cron_id}": "crons:read",
    "PATCH /runs/crons/{cron_id}": "crons:read crons:update threads:create_run threads:read",
    "PATCH /runs/crons/{cron_id} that disables it": "crons:read crons:update",
    "DELETE /runs/crons/{cron_id}": "crons:delete",
    "a cron on a thread is due": "threads:create_run",
    "a cron that keeps its threads is due": "threads:create threads:create_run",
    "POST /threads/{thread_id}/commands run.start": "threads:create_run",
    "POST /threads/{thread_id}/commands run.start on a new thread": "threads:create threads:create_run",
    "POST /threads/{thread_id}/commands input.respond": "threads:create_run",
    "POST /threads/{thread_id}/commands agent.getTree": "threads:read",
    "POST /threads/{thread_id}/stream/events": "threads:read",
    "socket run.start": "threads:create_run",
    "socket run.start on a new thread": "threads:create threads:create_run",
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
"""Operations whose handlers can return a filter."""

STATELESS = {
    "POST /runs",
    "POST /runs with an assistant id",
    "POST /runs/batch",
    "POST /runs/wait",
    "POST /runs/stream",
    "POST /runs/crons",
    "POST /runs/crons with an assistant id",
}
"""They create temporary threads, which have no owner: a filter of `threads:create_run` has nothing to exclude."""


def test_every_route_is_an_entry_point() -> None:
    rows = {
        (entry_point.method, plain_path(entry_point.path))
        for entry_point in ENTRY_POINTS
        if isinstance(entry_point, RouteCall)
    }
    routes = [
        endpoint
        for endpoint in (*ENDPOINTS, *site.ENDPOINTS)
        if not (endpoint.access.public or endpoint.access.operator)
    ]
    assert {(each.method, plain_path(each.path)) for each in routes} == rows
    assert {operation for operations in OPERATIONS_OF.values() for operation in operations.split()} == set(OPERATIONS)
    declared = {operation for each in routes for operation in each.access.required | each.access.optional}
    assert declared == set(OPERATIONS)


@pytest.mark.timeout(240)
async def test_every_entry_point_does_its_operations(scenario: Scenario) -> None:
    found = {entry_point.name: await call_and_observe(scenario, entry_point) for entry_point in ENTRY_POINTS}
    assert found == {name: set(operations.split()) for name, operations in OPERATIONS_OF.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_denied_operation_is_denied_at_every_entry_point(scenario: Scenario, operation: Operation) -> None:
    entry_points = [entry_point for entry_point in ENTRY_POINTS if operation in OPERATIONS_OF[entry_point.name].split()]
    found = {
        entry_point.name: await call_and_observe(scenario, entry_point, denied=operation)
        for entry_point in entry_points
    }
    assert {name: done for name, done in found.items() if operation in done} == {}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("operation", FILTERED)
async def test_a_filter_applies_at_every_entry_point(scenario: Scenario, operation: Operation) -> None:
    entry_points = [entry_point for entry_point in ENTRY_POINTS if operation in OPERATIONS_OF[entry_point.name].split()]
    if operation == "threads:create_run":
        entry_points = [entry_point for entry_point in entry_points if entry_point.name not in STATELESS]
    found = {
        entry_point.name: await call_and_observe(scenario, entry_point, filtered=operation)
        for entry_point in entry_points
    }
    assert {name: done for name, done in found.items() if operation in done} == {}
