"""The rows of the table of attacks: everything by which somebody from outside reaches data or starts work.

    ROUTES       every `Endpoint` of the API and of the pages, by `METHOD /path`
    COMMANDS     every command of the event protocol's socket, by its method
    BACKGROUND   work that goes on after its request, or without one: duties, webhooks, open streams, waiting runs

A test of an attack goes over a whole dictionary, so that a new route, command or duty is attacked as soon as it exists.
`test_rows.py` fails as long as a route, a command or a duty of the program has no row here.

    ids = await one_of_everything(ann)
    for name in ROUTES:
        answer = await send(client, name, ids, "bob")
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
from slipway_workers.duties.layout_watch import LayoutWatch
from slipway_workers.duties.reaper import Reaper
from slipway_workers.duties.reconciler import Reconciler
from slipway_workers.duties.retention import Retention
from slipway_workers.duties.scheduler import Scheduler
from slipway_workers.duties.store_sweeper import StoreSweeper
from slipway_workers.duties.trash import TrashCollector
from tests.auth.conftest import Client
from tests.auth.samples import NEW, RUN, Sample, samples

Ids: TypeAlias = Mapping[str, str]
"""One id for every parameter of a path."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the event protocol. Those that are `posted` are also taken by `POST /threads/{thread_id}/commands`.
    `params` makes parameters that are good where the ids exist."""

    method: str
    posted: bool
    params: Callable[[Ids], dict[str, Any]]

    def frame(self, ids: Ids, ident: int = 1) -> dict[str, Any]:
        """The JSON that a client sends."""
        return {"id": ident, "method": self.method, "params": self.params(ids)}


@dataclass(frozen=True, slots=True)
class Work:
    """Work in the background. `by` is the class that does it, or the route that holds it open; `look` does one round
    of a duty at once, where it is a duty."""

    name: str
    by: str
    about: str
    look: Callable[[Services], Awaitable[object]] | None = None


ROUTES: Final[dict[str, Endpoint]] = {
    f"{each.method} {plain_path(each.path)}": each for each in (*ENDPOINTS, *site.ENDPOINTS)
}
PUBLIC_ROUTES: Final = frozenset(name for name, route in ROUTES.items() if route.access.public)
"""Routes for everybody, without authentication."""

ANY_IDS: Final[Ids] = dict.fromkeys(
    ("thread_id", "assistant_id", "run_id", "cron_id", "checkpoint_id", "namespace", "graph_id"), NEW
)
"""For samples whose ids do not matter."""

WITH_BODY: Final = frozenset(
    name for name, route in ROUTES.items() if samples(dict(ANY_IDS)).get(name, Sample()).body is not None
)
"""The routes that read a body."""

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

HELD_OPEN: Final = tuple(
    sorted(
        name
        for name in ROUTES
        if name.split(" ")[1].endswith(("/stream", "/stream/events", "/wait", "/join", "/{run_id}/events"))
    )
)
"""The routes with long responses: until a run ends, or until the client disconnects."""

BACKGROUND: Final[dict[str, Work]] = {
    each.name: each
    for each in (
        Work(
            "a cron is due",
            "Scheduler",
            "creates the cron's next run",
            lambda services: Scheduler(services).run_once(),
        ),
        Work("a webhook is delivered", "Deliveries", "calls the URL of a run that ended, from a worker"),
        Work(
            "an internal webhook is delivered",
            "InternalWebhooks",
            "calls a route of the host app, in a web process",
        ),
        Work(
            "expired leases are reclaimed",
            "Reaper",
            "queues the runs of a worker that died again",
            lambda services: Reaper(services).run_once(),
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
            "expired store items are deleted",
            "StoreSweeper",
            "deletes expired items",
            lambda services: StoreSweeper(services).run_once(),
        ),
        Work(
            "a later release has raised the layout",
            "LayoutWatch",
            "ends a worker of an older release",
            lambda services: LayoutWatch(services).run_once(),
        ),
        Work("a waiting run starts", "ClaimingWorker", "a worker claims a run that was queued or delayed"),
        Work("an inline run starts", "InlineExecutor", "the web process that accepted a run executes it"),
        Work("an open WebSocket", "event_socket", "receives commands and sends the events of subscriptions"),
        *(Work(f"an open {name}", name, "sends events or a result when they arrive") for name in HELD_OPEN),
    )
}


async def one_of_everything(owner: Client) -> dict[str, str]:
    """Make one of everything with somebody's SDK client: the ids for the parameters of all paths."""
    thread = (await owner.threads.create())["thread_id"]
    assistant = (await owner.assistants.create("greet", name="hers"))["assistant_id"]
    run = await owner.runs.create(thread, "greet", input=RUN["input"], after_seconds=3600)
    cron = await owner.crons.create(assistant, schedule="0 0 1 1 *", input=RUN["input"])
    await owner.store.put_item(["n"], "k", {"text": "cat"})
    ids = {"thread_id": thread, "assistant_id": assistant, "run_id": run["run_id"], "cron_id": cron["cron_id"]}
    return ids | {"checkpoint_id": NEW, "namespace": "n", "graph_id": "greet"}


def sample_of(name: str, ids: Ids) -> Sample:
    """The request that makes sense for a route of `ROUTES`."""
    return samples(dict(ids)).get(name, Sample())


def ending(name: str, ids: Ids) -> tuple[Sample, Ids]:
    """A sample, and ids, for an answer that comes at once: waits name an assistant, and joins a run, that does not
    exist. Everything else is as in `sample_of`."""
    sample = sample_of(name, ids)
    if name.endswith("/wait"):
        return replace(sample, body=sample.body | {"assistant_id": NEW}), ids
    return sample, {**ids, "run_id": NEW} if name.endswith("/join") else ids


async def send(
    client: httpx.AsyncClient,
    name: str,
    ids: Ids,
    who: str = "",
    sample: Sample | None = None,
    *,
    path: str | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send a route's sample as somebody; an empty `who` has no name. An event stream is closed as soon as its headers
    have come; any other answer is read. `content` replaces the body, `path` the path with its ids."""
    sample = sample_of(name, ids) if sample is None else sample
    if content is None and sample.body is not None:
        content = json.dumps(sample.body).encode()
    named = {"authorization": f"Bearer {who}-token"} if who else {}
    request = client.build_request(
        ROUTES[name].method,
        plain_path(ROUTES[name].path).format(**ids) if path is None else path,
        params=sample.query or None,
        headers={"accept": "text/html", **named, **(headers or {})},
        content=content,
    )
    response = await client.send(request, stream=True)
    try:
        if "event-stream" not in response.headers.get("content-type", ""):
            await response.aread()
    finally:
        await response.aclose()
    return response
