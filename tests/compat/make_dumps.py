"""Makes the dumps of a release: `python -m tests.compat.make_dumps`.

It executes the graphs of `dumps/project` on real servers until each thread is in one kind of pause, and stores the keys
of Redis below `dumps/<release>`. The dumps of a release are made once, with the code of that release: it refuses to
overwrite a folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import httpx
from redis.asyncio import Redis

from slipway.graphs.registry import Registry
from slipway.processes.child_commands import slipway
from slipway.redis.layout import LayoutRecord
from slipway.redis.server_modules import module_files
from slipway.services import Services
from slipway.settings import Settings
from slipway.versions import version_of
from tests.compat.dump_format import DIGESTS, DUMPS, Dump, read_keys, sha256_of
from tests.embedded_valkey import embedded_valkey
from tests.environment import PYTHON_PATH, bare_environment
from tests.http.conftest import serving
from tests.shards import shards_of
from tests.waiting import wait_until
from tests.worker import running_worker

PROJECT: Final = DUMPS / "project" / "langgraph.json"
PREFIX: Final = "dump"
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "core": {},
    "encrypted": {"encryption_key": "07" * 32},
    "langgraph-redis": {"checkpointer": "langgraph-redis", "langgraph_redis_prefix": f"{PREFIX}-documents"},
}
"""The settings of each dump."""

JsonObject = dict[str, Any]


class Desk:
    """The API, as users and operators call it, and the ids of the threads by the name of their pause."""

    def __init__(self, client: httpx.AsyncClient, project: ModuleType) -> None:
        self.client, self.project = client, project
        self.threads: dict[str, str] = {}
        self.notes: dict[str, Any] = {}

    async def call(self, method: str, path: str, body: Any = None, user: str = "ann") -> Any:
        response = await self.client.request(method, path, json=body, headers={"x-user": user})
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def start(self, pause: str, graph: str, **body: Any) -> JsonObject:
        """Creates a run on the thread of this pause."""
        if pause not in self.threads:
            self.threads[pause] = (await self.call("POST", "/threads", {"metadata": {"pause": pause}}))["thread_id"]
        request = {"assistant_id": graph, "input": {"log": []}} | body
        run: JsonObject = await self.call("POST", f"/threads/{self.threads[pause]}/runs", request)
        return run

    async def until(self, run: JsonObject, phase: str) -> None:
        """Waits until the run is in this phase."""
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"

        async def reached() -> bool:
            found = (await self.call("GET", path))["phase"]
            assert found == phase or found in ("queued", "running"), f"{run['assistant_id']} is {found}"
            return bool(found == phase)

        await wait_until(reached)

    async def pause(self, pause: str, graph: str, phase: str = "waiting_for_approval", **body: Any) -> JsonObject:
        """Executes a run on the thread of this pause until it is in this phase."""
        run = await self.start(pause, graph, **body)
        await self.until(run, phase)
        return run

    async def questions(self, pause: str) -> list[JsonObject]:
        """The open interrupts of a thread, sorted by their question."""
        interrupts = (await self.call("GET", f"/threads/{self.threads[pause]}"))["interrupts"]
        found = [each for of_task in interrupts.values() for each in of_task]
        return sorted(found, key=lambda each: str(each["value"]))

    async def review(self, pause: str) -> JsonObject:
        """The open review of a thread."""
        reviews = (await self.call("GET", "/ops/reviews"))["reviews"]
        (review,) = (each for each in reviews if each["thread_id"] == self.threads[pause])
        return dict(review)

    @asynccontextmanager
    async def gate(self, node: str) -> AsyncIterator[None]:
        """Until the end of the block, the node waits."""
        self.project.GATES[node] = asyncio.Event()
        try:
            yield
        finally:
            self.project.GATES.pop(node).set()

    async def until_started(self, run: JsonObject, node: str) -> None:
        await wait_until(lambda: node in self.project.STARTED[run["thread_id"]])


async def idle(desk: Desk) -> None:
    run = await desk.pause("idle", "steps", "completed")
    history = await desk.call("POST", f"/threads/{run['thread_id']}/history", {"limit": 100})
    desk.notes["history"] = [state["checkpoint"]["checkpoint_id"] for state in history]


async def idle_subgraph(desk: Desk) -> None:
    await desk.pause("stateful subgraph", "remembers", "completed")


async def breakpoints(desk: Desk) -> None:
    await desk.pause("compiled breakpoint", "breakpoint")
    await desk.pause("breakpoint of the run", "steps", interrupt_after=["one"])
    await desk.pause("half a join", "join")


async def questions(desk: Desk) -> None:
    await desk.pause("question", "ask")
    await desk.pause("question with stream modes", "ask", stream_mode=["values", "tasks"], stream_subgraphs=True)
    await desk.pause("question in subgraphs", "deep")
    await desk.pause("two questions", "questions")
    await desk.pause("some sends ask", "fan", input={"item": "aBcD", "log": []})
    await desk.pause("functional", "functional", input={})
    await desk.pause("delta channel", "journal")
    await desk.pause("many types", "objects")


async def answered_questions(desk: Desk) -> None:
    """One of two questions is answered."""
    await desk.pause("second question of a node", "twice")
    await desk.pause("second question of a node", "twice", input=None, command={"resume": "first"})
    await desk.pause("one of two answered", "questions")
    first, _ = await desk.questions("one of two answered")
    await desk.pause("one of two answered", "questions", input=None, command={"resume": {first["id"]: "early"}})


async def paused_by_an_operator(desk: Desk) -> None:
    async with desk.gate("two"):
        run = await desk.start("paused by an operator", "steps")
        await desk.until_started(run, "two")
        await desk.call("POST", f"/ops/runs/{run['run_id']}/pause", {"reason": "to look at it"})
    await desk.until(run, "paused")
    desk.notes["paused run"] = run["run_id"]


async def paused_at_a_switch(desk: Desk) -> None:
    await desk.call("PUT", "/ops/graphs/switched/nodes/three", {"reason": "wrong amounts"})
    waiting = await desk.pause("paused at a switch", "switched")
    answer = {"input": None, "command": {"resume": "yes"}}
    assert (await desk.pause("paused at a switch", "switched", "paused", **answer))["resumes"] == waiting["run_id"]


async def failed(desk: Desk) -> None:
    desk.project.FAILING.add("fails")
    desk.notes["failed run"] = (await desk.pause("failed", "failing", "failed"))["run_id"]
    desk.project.FAILING.clear()


async def reviews(desk: Desk) -> None:
    await desk.pause("approval of a tool", "tools")
    await desk.pause("claimed review", "reviewed")
    review = await desk.review("claimed review")
    await desk.call("POST", f"/ops/reviews/{review['review_id']}/claim", {}, user="bob")
    desk.notes["claimed review"] = await desk.review("claimed review")
    desk.notes["approval"] = (await desk.review("approval of a tool"))["review_id"]


async def other_records(desk: Desk) -> None:
    """An assistant with two versions, and an item of the store."""
    body = {"graph_id": "steps", "name": "Steps", "config": {"tags": ["first"]}}
    assistant = (await desk.call("POST", "/assistants", body))["assistant_id"]
    await desk.call("PATCH", f"/assistants/{assistant}", {"config": {"tags": ["second"]}})
    desk.notes["assistant"] = assistant
    await desk.call("PUT", "/store/items", {"namespace": ["a", "b"], "key": "k", "value": {"n": 1}})


PAUSES: Final[tuple[Callable[[Desk], Awaitable[None]], ...]] = (
    idle,
    idle_subgraph,
    breakpoints,
    questions,
    answered_questions,
    paused_by_an_operator,
    paused_at_a_switch,
    failed,
    reviews,
    other_records,
)
"""The pauses that a living worker leaves behind."""


async def killed_worker(desk: Desk, environment: Mapping[str, str]) -> None:
    """Runs whose worker is killed in the middle of a superstep, also when other tasks of the superstep have ended."""
    with tempfile.TemporaryDirectory() as name, _worker_that_holds(Path(name), environment, "two", "work b", "b"):
        between = await desk.start("killed between supersteps", "steps")
        beside = await desk.start("killed beside ended sends", "fan", input={"item": "abc", "log": []})
        joined = await desk.start("killed beside an ended node", "join")
        held = {f"{between['thread_id']}.two", f"{beside['thread_id']}.work b", f"{joined['thread_id']}.b"}
        await wait_until(lambda: {path.name for path in Path(name).iterdir()} == held)
        await wait_until(lambda: _ended_tasks(desk, beside, 2))
        await wait_until(lambda: _ended_tasks(desk, joined, 1))


async def _ended_tasks(desk: Desk, run: JsonObject, count: int) -> bool:
    """Whether the results of so many tasks of the superstep are stored."""
    tasks = (await desk.call("GET", f"/threads/{run['thread_id']}/state"))["tasks"]
    return sum(task["result"] is not None for task in tasks) == count


@contextmanager
def _worker_that_holds(folder: Path, environment: Mapping[str, str], *nodes: str) -> Iterator[None]:
    """A worker in which these nodes wait. It is killed at the end of the block."""
    held = {"DUMPS_HELD_NODES": ",".join(nodes), "DUMPS_HELD_FOLDER": str(folder)}
    variables = {**bare_environment(), **environment, **held}
    worker = subprocess.Popen(slipway("worker"), env=variables, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


async def queued(desk: Desk) -> None:
    """Runs that no worker has claimed, and a yearly cron, which `let_the_cron_be_due` makes due."""
    cron = {"assistant_id": "steps", "schedule": "0 0 1 1 *", "input": {"log": []}}
    desk.threads["due cron"] = (await desk.call("POST", "/threads", {}))["thread_id"]
    created = await desk.call("POST", f"/threads/{desk.threads['due cron']}/runs/crons", cron)
    await desk.start("queued", "steps")
    await desk.start("two runs queued", "steps")
    await desk.start("two runs queued", "steps", multitask_strategy="enqueue")
    await desk.start("queued for later", "steps", after_seconds=1)
    await desk.start("answer is queued", "ask", input=None, command={"resume": "yes"})
    desk.notes["cron"] = created["cron_id"]


async def let_the_cron_be_due(desk: Desk, services: Services) -> None:
    """The beginning of this year is its due time, which no worker has handled."""
    cron, due = desk.notes["cron"], datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC)
    due_ms = int(due.timestamp() * 1000)
    await services.pipeline.send("HSET", services.keys.cron(cron), "next_ms", due_ms)
    await services.pipeline.send("ZADD", services.keys.crons_due, due_ms, cron)


async def make(redis_url: str, variant: str, release: str) -> Dump:
    """Executes the graphs until each thread is in its kind of pause, and reads all keys."""
    values = {"key_prefix": PREFIX, **VARIANTS[variant]}
    settings = Settings.from_values({"redis_url": redis_url, "config": PROJECT, **values})
    graphs = await Registry.load(PROJECT)
    module = sys.modules[graphs.load_object("./graphs.py:start").__module__]
    async with serving(settings, graphs) as served, httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        await LayoutRecord(served.services.pipeline, shards_of(served.services.keys)).check_or_upgrade()
        desk = Desk(client, module)
        async with running_worker(settings, graphs):
            for pause in PAUSES:
                await pause(desk)
            await desk.pause("answer is queued", "ask")
        named = {f"SLIPWAY_{name.upper()}": value for name, value in values.items()}
        paths = {"SLIPWAY_REDIS_URL": redis_url, "SLIPWAY_CONFIG": str(PROJECT), "PYTHONPATH": PYTHON_PATH}
        await killed_worker(desk, named | paths)
        await queued(desk)
        await let_the_cron_be_due(desk, served.services)
    async with Redis.from_url(redis_url) as redis:
        keys = await read_keys(redis)
    return Dump(release, PREFIX, values, desk.threads, desk.notes, keys)


async def make_all() -> None:
    """Makes the dumps of this release."""
    release = version_of("slipway")
    folder = DUMPS / release
    if folder.exists():
        raise SystemExit(f"{folder} exists: the dumps of a release are made once, with the code of that release")
    made = {}
    for variant in VARIANTS:
        modules = module_files() if variant == "langgraph-redis" else ()
        if modules is None:
            raise SystemExit("the dumps need RediSearch and RedisJSON: make them on Linux on x86-64")
        with embedded_valkey(*(part for file in modules for part in ("--loadmodule", str(file)))) as url:
            made[f"{variant}.json.gz"] = await make(url, variant, release)
    folder.mkdir()
    for name, dump in made.items():
        dump.save(folder / name)
    (folder / DIGESTS).write_text("".join(f"{sha256_of(folder / name)}  {name}\n" for name in sorted(made)))


if __name__ == "__main__":
    asyncio.run(make_all())
