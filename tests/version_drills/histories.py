"""Histories: deploys, resumes, rollbacks, moves and crashes in random order, on real processes' parts in one process.

In the end, each thread has a log that a legal order of releases explains: `problem_of` knows which node of which
release may follow which, by what the two releases changed, and without asking Slipway.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from uuid import uuid4

import httpx

from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.commands.threads import Selection, move_selected
from slipway.graphs.registry import Registry
from slipway.settings import Settings
from slipway.thread_moves.reads import MoveReads
from slipway_workers.process import WorkerProcess
from tests.http.conftest import Served, serving
from tests.waiting import wait_until
from tests.worker import running_worker

GRAPHS: Final = ("chain", "desk", "pair", "fan", "quiz")
KINDS: Final = (("1",), ("2",), ("1", "2"))
"""The releases that a worker may serve."""
MOST_WORKERS: Final = 3
OPERATOR: Final = "ann"
JsonObject = dict[str, Any]

LEGAL: Final[Mapping[str, str]] = {
    "chain": r"one@. two@. (three@1|three@2 four@2)",
    "desk": r"(draft@1 ask:yes@1|draft@. ask_person:yes@2) send@.",
    "pair": r"(ask_a:yes@1 ask_b:yes@1 end@1|ask_a:yes@2 ask_c:yes@2 end@2)",
    "fan": r"plan@. work-a@. work-b@. work:yes@. (collect@1|collect@2 audit@2)",
    "quiz": r"(prepared@1 quiz:yes@1|quiz:yes@2 prepared@2)",
}
"""The log of each run. `desk`: release 2 calls the node `ask` by another name, and a migration leads there, not back.
`pair`: the node `ask_b` has another name, without a migration. `quiz`: the order has changed. The others have a further
node at the end, which only release 2 has."""


ONLY_LAST_RUN: Final = frozenset({"quiz"})
"""Graphs whose log has only the last run of a thread."""


def problem_of(graph: str, log: list[str], runs: int) -> str | None:
    """Why the log of a thread with so many completed runs cannot be; None if it is right."""
    legal = LEGAL[graph] if graph in ONLY_LAST_RUN else " ".join([LEGAL[graph]] * runs)
    return None if re.fullmatch(legal, " ".join(log)) else f"{graph}: {log} of {runs} runs"


@dataclass(slots=True)
class Thread:
    """A thread, and how many runs were created on it, without those that answer."""

    graph: str
    thread_id: str = field(default_factory=lambda: str(uuid4()))
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker in this process, and what ends it."""

    process: WorkerProcess
    stack: AsyncExitStack


Projects = Callable[[tuple[str, ...]], tuple[Settings, Registry]]
"""The settings and the graphs of a process that serves these releases."""


class History:
    """The threads, the workers that live, and what happens to them."""

    def __init__(self, served: Served, client: httpx.AsyncClient, projects: Projects, seed: int) -> None:
        self._client, self._projects, self.random = client, projects, Random(seed)
        self.services = served.services
        self.threads: list[Thread] = []
        self.workers: list[Worker] = []
        self.newest_run = ""
        self.done: list[str] = []
        """What has happened, for people."""

    async def call(self, method: str, path: str, body: Any = None, *statuses: int) -> Any:
        """The JSON of the response, or None if it has one of these further status codes."""
        response = await self._client.request(method, path, json=body)
        assert response.status_code in (200, *statuses), f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.status_code == 200 else None

    async def begin(self) -> None:
        """Release 1 is current, and one of its workers has executed runs that ask."""
        for graph in GRAPHS:
            await self.call("POST", f"/ops/rollouts/{graph}/promote", {"version": "1"})
        await self.start_worker(("1",))
        for graph in ("desk", "pair", "quiz"):
            await self.create_run(graph)
        await self.settle()

    async def act(self) -> None:
        """One random event. Mostly all runs have come to rest before the next one."""
        actions: tuple[tuple[int, Callable[[], Awaitable[str]]], ...] = (
            (4, self.create_run),
            (5, self.answer),
            (2, self.start_worker),
            (1, self.stop_worker),
            (2, self.freeze_worker),
            (3, self.change_rollout),
            (2, self.operate),
            (4, self.move_thread),
        )
        weights, functions = zip(*actions, strict=True)
        (action,) = self.random.choices(functions, weights)
        self.done.append(f"{action.__name__}: {await action()}")
        if self.random.random() < 0.7:
            await self.settle()

    async def settle(self) -> None:
        """Waits until each run has ended, pauses, asks, or waits for a worker."""

        async def rests() -> bool:
            runs = await self.last_runs()
            return all(run["phase"] != "running" and (run["phase"] != "queued" or run["reason"]) for run in runs)

        if self.workers:
            await wait_until(rests)

    async def create_run(self, graph: str | None = None) -> str:
        """On a new thread, or on one that has ended."""
        idle = [thread for thread in self.threads if await self.status(thread) == "idle"]
        if graph or not idle or self.random.random() < 0.6:
            self.threads.append(Thread(graph or self.random.choice(GRAPHS)))
            idle = self.threads[-1:]
        thread = self.random.choice(idle)
        body = {"assistant_id": thread.graph, "input": {"log": []}, "if_not_exists": "create"}
        self.newest_run = (await self.call("POST", f"/threads/{thread.thread_id}/runs", body))["run_id"]
        thread.runs += 1
        return thread.graph

    async def answer(self) -> str:
        """All questions of a thread that asks."""
        asking = [thread for thread in self.threads if await self.status(thread) == "interrupted"]
        if not asking:
            return "nothing"
        thread = self.random.choice(asking)
        return await self.answer_thread(thread)

    async def answer_thread(self, thread: Thread) -> str:
        interrupts = (await self.call("GET", f"/threads/{thread.thread_id}"))["interrupts"]
        answers = {each["id"]: "yes" for of_task in interrupts.values() for each in of_task}
        body = {"assistant_id": thread.graph, "command": {"resume": answers}}
        created = await self.call("POST", f"/threads/{thread.thread_id}/runs", body, 409)
        self.newest_run = created["run_id"] if created else self.newest_run
        return f"{thread.graph} {'answered' if created else 'has been answered'}"

    async def status(self, thread: Thread) -> str:
        return str((await self.call("GET", f"/threads/{thread.thread_id}"))["status"])

    async def start_worker(self, kind: tuple[str, ...] | None = None) -> str:
        if len(self.workers) >= MOST_WORKERS:
            return await self.stop_worker()
        kind = kind or self.random.choice(KINDS)
        stack = AsyncExitStack()
        process, _ = await stack.enter_async_context(running_worker(*self._projects(kind)))
        self.workers.append(Worker(process, stack))
        return " and ".join(kind)

    async def stop_worker(self) -> str:
        """It drains."""
        if not self.workers:
            return "nothing"
        worker = self.workers.pop(self.random.randrange(len(self.workers)))
        await worker.stack.aclose()
        return "drained"

    async def freeze_worker(self) -> str:
        """As if it had been suspended until its leases expired: its runs are reclaimed, and then it goes on."""
        if not self.workers:
            return "nothing"
        renewer = self.random.choice(self.workers).process.services.lease_renewer
        assert renewer is not None
        reaped = await self.services.queues[0].run_reap(event_ttl_s=600, pause_ms=0, worker=renewer.worker)
        return f"{len(reaped.runs)} runs reclaimed"

    async def change_rollout(self) -> str:
        graph = self.random.choice(GRAPHS)
        path = f"/ops/rollouts/{graph}"
        match self.random.randrange(6):
            case 0:
                await self.call("PUT", path, {"versions": {"2": 50}}, 409, 422)
            case 1:
                await self.call("PUT", path, {"versions": {"1": 50}}, 409, 422)
            case 2 | 3:
                await self.call("POST", f"{path}/promote", {"version": self.random.choice("12")}, 409)
            case 4:
                await self.call("POST", f"{path}/rollback", None, 409)
            case _:
                await self.call("DELETE", path, None, 409)
        return graph

    async def operate(self) -> str:
        """An operator resumes a run that is paused, or pauses one that was just created."""
        paused = await self.runs_in("paused")
        act = "resume" if paused and self.random.random() < 0.4 else "pause"
        if act == "pause":
            await (self.create_run() if self.random.random() < 0.5 else self.answer())
        run_id = self.random.choice(paused)["run_id"] if act == "resume" else self.newest_run
        done = await self.call("POST", f"/ops/runs/{run_id}/{act}", {}, 409)
        return act if done else f"{act}, too late"

    async def move_thread(self) -> str:
        """An operator moves one thread, from a checkout of any release. Only a checkout of both has migrations."""
        thread, kind = await self.thread_to_move(), self.random.choice(KINDS)
        selection = Selection(thread.graph, self.random.choice(kind), thread_ids=[thread.thread_id])
        dry_run = self.random.random() < 0.2
        phase = (await self.call("GET", f"/threads/{thread.thread_id}/runs?limit=1"))[0]["phase"]
        outcomes: list[str] = []
        before = await self.stored_at_rest(thread)
        await move_selected(
            *self._projects(kind), selection, OPERATOR, dry_run, lambda each: outcomes.append(each.outcome)
        )
        if outcomes != ["moved"] and before is not None:
            after = await self.stored_at_rest(thread)
            changed = [name for name in before | (after or {}) if before.get(name) != (after or {}).get(name)]
            assert not changed, f"{outcomes} has changed {changed} of {thread}: {self.done}"
        return f"{thread.graph}, {phase}, to {selection.to_version} {outcomes}{' dry' if dry_run else ''}"

    async def thread_to_move(self) -> Thread:
        """Mostly one whose run is paused, or has not completed, if there is one."""
        phases = {run["thread_id"]: run["phase"] for run in await self.last_runs()}
        paused = [each for each in self.threads if phases[each.thread_id] == "paused"]
        under_way = [each for each in self.threads if phases[each.thread_id] != "completed"]
        among = self.random.choice((paused, under_way, under_way, self.threads))
        return self.random.choice(among or self.threads)

    async def stored_at_rest(self, thread: Thread) -> dict[bytes, Any] | None:
        """All that is stored of a thread and its runs, if nothing changes it by itself; otherwise None."""
        (newest, *_) = runs = await self.call("GET", f"/threads/{thread.thread_id}/runs?limit=100")
        if newest["phase"] not in ("completed", "waiting_for_approval", *(() if self.workers else ("paused",))):
            return None
        pipeline = self.services.pipeline
        stored: dict[bytes, Any] = {}
        for each in (thread.thread_id, *(run["run_id"] for run in runs)):
            for name in await pipeline.send("KEYS", f"{self.services.keys.prefix}*{each}*", repeatable=True):
                is_hash = await pipeline.send("TYPE", name, repeatable=True) == b"hash"
                content = await pipeline.send("HGETALL" if is_hash else "DUMP", name, repeatable=True)
                stored[name] = set(zip(content[::2], content[1::2], strict=True)) if is_hash else content
        return stored

    async def last_runs(self) -> list[JsonObject]:
        """The newest run of each thread."""
        lists = [await self.call("GET", f"/threads/{each.thread_id}/runs?limit=1") for each in self.threads]
        return [runs[0] for runs in lists]

    async def runs_in(self, phase: str) -> list[JsonObject]:
        return [run for run in await self.last_runs() if run["phase"] == phase]

    async def end(self) -> None:
        """A worker that serves both releases lives, and all questions are answered until all runs have ended."""
        while self.workers:
            await self.stop_worker()
        await self.start_worker(("1", "2"))

        async def has_ended() -> bool:
            for thread in self.threads:
                if await self.status(thread) == "interrupted":
                    await self.answer_thread(thread)
            for run in await self.runs_in("paused"):
                await self.call("POST", f"/ops/runs/{run['run_id']}/resume", {}, 409)
            return len(await self.runs_in("completed")) == len(self.threads)

        try:
            await wait_until(has_ended)
        except AssertionError as error:
            open_runs = [run for run in await self.last_runs() if run["phase"] != "completed"]
            shown = [{name: run.get(name) for name in ("phase", "reason", "version", "error")} for run in open_runs]
            raise AssertionError(f"not all runs have ended: {shown}; {self.done}") from error

    async def problems(self) -> list[str]:
        """What cannot be, by the logs of all threads."""
        found: list[str] = []
        for thread in self.threads:
            state = await self.call("GET", f"/threads/{thread.thread_id}/state")
            found.append(problem_of(thread.graph, state["values"].get("log", []), thread.runs) or "")
            found.append(await self._problem_of_moves(thread))
        return [problem for problem in found if problem]

    async def _problem_of_moves(self, thread: Thread) -> str:
        """Each move leads from the version of the one before, and has stored the checkpoint that it names. No other
        checkpoint is the work of a move. The last move leads to the version of the thread."""
        stored = await MoveReads(self.services.pipeline, self.services.keys).moves(thread.thread_id, thread.graph)
        target: Any = {"configurable": {"thread_id": thread.thread_id, "checkpoint_ns": ""}}
        by_moves = [
            found.checkpoint["id"]
            async for found in self.services.checkpointer.alist(target)
            if OF_MOVE in found.metadata
        ]
        named = [move["checkpoint"] for move in stored.moves if "checkpoint" in move]
        versions = [move["from"] for move in stored.moves] + [stored.pin.version]
        path = [stored.moves[0]["from"], *(move["to"] for move in stored.moves)] if stored.moves else versions
        if named == by_moves[::-1] and path == versions:
            return ""
        return f"{thread}: {stored}, checkpoints of moves: {by_moves}"

    async def close(self) -> None:
        while self.workers:
            await self.stop_worker()


@asynccontextmanager
async def history(projects: Projects, seed: int) -> AsyncIterator[History]:
    """A web process that serves both releases, and no worker."""
    settings, graphs = projects(("1", "2"))
    async with (
        serving(settings, graphs) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        lived = History(served, client, projects, seed)
        try:
            yield lived
        finally:
            await lived.close()
