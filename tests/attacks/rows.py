"""The rows of the table of attacks: everything through which a client can reach data or start work.

    ROUTES       every `Endpoint` of the API and of the pages, by `METHOD /path`, that is not for operators
    OPERATOR_ROUTES   those that are for operators
    COMMANDS     every command of the event protocol, by its method
    BACKGROUND   work without a request or after it: duties, webhooks, open responses, queued runs

A test of an attack iterates over a whole dictionary, so that a new route, command or duty is attacked as soon as it
exists. `test_rows.py` fails while a route, command or duty has no row here.

    ids = await create_one_of_each(ann)
    for name in ROUTES:
        response = await send(client, name, ids, "bob")
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import httpx

from slipway.api.endpoints import Endpoint
from slipway.api.openapi import plain_path
from slipway.api.route_table import ENDPOINTS
from slipway.api.ui import site
from slipway.runs.record import new_id
from slipway.services import Services
from slipway_workers.duties.budget_events import BudgetEvents
from slipway_workers.duties.group_slots import GroupSlots
from slipway_workers.duties.hook_deliveries import HookDeliveries
from slipway_workers.duties.layout_watch import LayoutWatch
from slipway_workers.duties.paused_runs import PausedRuns
from slipway_workers.duties.reaper import Reaper
from slipway_workers.duties.reconciler import Reconciler
from slipway_workers.duties.retention import Retention
from slipway_workers.duties.reviews import Reviews
from slipway_workers.duties.rollouts import Rollouts
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.duties.shared_records import SharedRecords
from slipway_workers.duties.store_sweeper import StoreSweeper
from slipway_workers.duties.traces import Traces
from slipway_workers.duties.trash import TrashCollector
from slipway_workers.duties.versions import Versions
from tests.auth.conftest import Client
from tests.auth.samples import NEW, RUN, Sample, samples

Ids: TypeAlias = Mapping[str, str]
"""One id for every parameter of a path."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the event protocol. `POST /threads/{thread_id}/commands` accepts those that are `posted`; a
    WebSocket accepts all. `params` returns parameters that are valid if the records of the ids exist."""

    method: str
    posted: bool
    params: Callable[[Ids], dict[str, Any]]

    def frame(self, ids: Ids, command_id: int = 1) -> dict[str, Any]:
        """The JSON that a client sends."""
        return {"id": command_id, "method": self.method, "params": self.params(ids)}


@dataclass(frozen=True, slots=True)
class Work:
    """Background work. `done_by` is the class that does it, or the route whose response stays open. `run_round` runs
    one round of a duty, and is None for other work."""

    name: str
    done_by: str
    description: str
    run_round: Callable[[Services], Awaitable[object]] | None = None


ALL_ROUTES: Final[dict[str, Endpoint]] = {
    f"{each.method} {plain_path(each.path)}": each for each in (*ENDPOINTS, *site.ENDPOINTS)
}
OPERATOR_ROUTES: Final = {name: route for name, route in ALL_ROUTES.items() if route.access.operator}
"""The routes that need a permission of operators, for the records of all users."""
ROUTES: Final = {name: route for name, route in ALL_ROUTES.items() if not route.access.operator}
"""All other routes."""
PUBLIC_ROUTES: Final = frozenset(name for name, route in ROUTES.items() if route.access.public)
"""The routes that need no user."""

ANY_IDS: Final[Ids] = dict.fromkeys(
    (
        *("thread_id", "assistant_id", "run_id", "cron_id", "checkpoint_id", "namespace", "graph_id", "node", "tool"),
        *("version", "build_id", "hook", "delivery", "key_id", "endpoint_id", "delivery_id"),
    ),
    NEW,
)
"""Ids that no record has, for samples whose ids do not matter."""

WITH_BODY: Final = frozenset(name for name in ROUTES if samples(dict(ANY_IDS)).get(name, Sample()).body is not None)
"""The routes of `ROUTES` that read a body."""

COMMANDS: Final[dict[str, Command]] = {
    each.method: each
    for each in (
        Command("run.start", posted=True, params=lambda ids: {"assistant_id": "greet", "input": {"text": "hi"}}),
        Command(
            "input.respond",
            posted=True,
            params=lambda ids: {"interrupt_id": ids.get("interrupt_id", "0" * 32), "response": "yes"},
        ),
        Command("agent.getTree", posted=True, params=lambda ids: {"run_id": ids["run_id"]}),
        Command("subscription.subscribe", posted=False, params=lambda ids: {"channels": ["values", "lifecycle"]}),
        Command(
            "subscription.reconnect", posted=False, params=lambda ids: {"channels": ["values", "lifecycle"], "since": 0}
        ),
        Command("subscription.unsubscribe", posted=False, params=lambda ids: {"subscription_id": new_id()}),
    )
}

LONG_RESPONSES: Final = tuple(
    sorted(
        name
        for name in ROUTES
        if name.split(" ")[1].endswith(("/stream", "/stream/events", "/wait", "/join", "/{run_id}/events"))
    )
)
"""The routes whose responses last until a run ends or the client disconnects."""

BACKGROUND: Final[dict[str, Work]] = {
    each.name: each
    for each in (
        Work(
            "a cron is due",
            "Scheduler",
            "creates the cron's next run",
            lambda services: Scheduler(services).run_once(),
        ),
        Work(
            "a review has a due time, or all its answers",
            "Reviews",
            "its default action, reminders and escalation, and the run that has its answers",
            lambda services: Reviews(services).run_once(),
        ),
        Work(
            "a delivery to a hook was not answered",
            "HookDeliveries",
            "does what a stored delivery asks for, for the user of its hook",
            lambda services: HookDeliveries(services).run_once(),
        ),
        Work("a webhook is delivered", "Deliveries", "calls the URL of a run that ended, from a worker"),
        Work(
            "an internal webhook is delivered",
            "InternalWebhooks",
            "calls a route of the host app, in a web process",
        ),
        Work(
            "workers come and go",
            "Versions",
            "the reasons of runs that wait for a worker that serves their version",
            lambda services: Versions(services).run_once(),
        ),
        Work(
            "a budget has a new state",
            "BudgetEvents",
            "tells webhook endpoints, if the process that reserved in it has died",
            lambda services: BudgetEvents(services).run_once(),
        ),
        Work(
            "shards share the slots of a concurrency group",
            "GroupSlots",
            "exchanges slots between shards",
            lambda services: GroupSlots(services).run_once(),
        ),
        Work("a due job waits that nobody claims", "QueueWatch", "wakes a worker that waits for jobs of its shard"),
        Work(
            "expired leases are reclaimed",
            "Reaper",
            "queues the runs of a dead worker again",
            lambda services: Reaper(services).run_once(),
        ),
        Work(
            "a switch is on again",
            "PausedRuns",
            "queues the runs that paused there",
            lambda services: PausedRuns(services).run_once(),
        ),
        Work(
            "a shard lacks changes of shared records",
            "SharedRecords",
            "copies switches, rollouts, versions and webhook endpoints to it",
            lambda services: SharedRecords(services).run_once(),
        ),
        Work(
            "the trash is emptied",
            "TrashCollector",
            "deletes the checkpoints of deleted threads",
            lambda services: TrashCollector(services).run_once(),
        ),
        Work(
            "stuck records are repaired",
            "Reconciler",
            "repairs runs and threads that contradict each other",
            lambda services: Reconciler(services).run_once(),
        ),
        Work(
            "expired threads are deleted or pruned",
            "Retention",
            "deletes expired threads, or their older checkpoints",
            lambda services: Retention(services).run_once(),
        ),
        Work(
            "spans of runs are old, or too many",
            "Traces",
            "deletes the spans of the oldest runs",
            lambda services: Traces(services).run_once(),
        ),
        Work(
            "expired store items are deleted",
            "StoreSweeper",
            "deletes expired items",
            lambda services: StoreSweeper(services).run_once(),
        ),
        Work(
            "a version is ramping",
            "Rollouts",
            "rolls the version back if its runs end worse",
            lambda services: Rollouts(services).run_once(),
        ),
        Work(
            "a later release raised the layout version",
            "LayoutWatch",
            "ends a worker of an older release",
            lambda services: LayoutWatch(services).run_once(),
        ),
        Work("a queued run starts", "ClaimingWorker", "a worker claims a run that was queued or delayed"),
        Work("an inline run starts", "InlineRuns", "the web process that accepted a run executes it"),
        Work("an open WebSocket", "event_socket", "receives commands and sends the events of subscriptions"),
        *(Work(f"an open {name}", name, "sends events or a result when they arrive") for name in LONG_RESPONSES),
    )
}


async def create_one_of_each(owner: Client) -> dict[str, str]:
    """Create one record of each kind with the SDK client of `owner`. Returns an id for every parameter of a path."""
    thread = (await owner.threads.create())["thread_id"]
    assistant = (await owner.assistants.create("greet", name="hers"))["assistant_id"]
    run = await owner.runs.create(thread, "greet", input=RUN["input"], after_seconds=3600)
    cron = await owner.crons.create(assistant, schedule="0 0 1 1 *", input=RUN["input"])
    await owner.store.put_item(["n"], "k", {"text": "cat"})
    ids = {"thread_id": thread, "assistant_id": assistant, "run_id": run["run_id"], "cron_id": cron["cron_id"]}
    ids |= {"checkpoint_id": NEW, "namespace": "n", "graph_id": "greet", "node": "say", "tool": "mail"}
    ids |= {"version": "2", "build_id": "0" * 12, "hook": "github", "delivery": "0" * 32, "key_id": "a" * 12}
    ids |= {"endpoint_id": "we_0", "delivery_id": "msg_0"}
    return ids | {"review_id": f"{run['run_id']}:{'0' * 32}"}


def sample_of(name: str, ids: Ids) -> Sample:
    """A valid request for a route of `ROUTES`."""
    return samples(dict(ids)).get(name, Sample())


def short_sample_of(name: str, ids: Ids) -> tuple[Sample, Ids]:
    """As `sample_of`, but no route waits for a run: waits name an assistant, and joins a run, that does not exist.
    Returns the sample and the ids for its path."""
    sample = sample_of(name, ids)
    if name.endswith("/wait"):
        return replace(sample, body=sample.body | {"assistant_id": NEW}), ids
    return sample, {**ids, "run_id": NEW} if name.endswith("/join") else ids


async def send(
    client: httpx.AsyncClient,
    name: str,
    ids: Ids,
    user: str = "",
    sample: Sample | None = None,
    *,
    path: str | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send the sample of a route with the token of `user`; an empty `user` sends no token. Closes an event stream when
    its headers arrived, and reads any other response. `content` replaces the body, `path` the path with its ids."""
    sample = sample_of(name, ids) if sample is None else sample
    if content is None and sample.body is not None:
        content = json.dumps(sample.body).encode()
    token = {"authorization": f"Bearer {user}-token"} if user else {}
    request = client.build_request(
        ALL_ROUTES[name].method,
        plain_path(ALL_ROUTES[name].path).format(**ids) if path is None else path,
        params=sample.query or None,
        headers={"accept": "text/html", **token, **(headers or {})},
        content=content,
    )
    response = await client.send(request, stream=True)
    try:
        if "event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
    finally:
        await response.aclose()
    return response
