"""A drill of a deploy: `python -m tests.version_drills.drill` prints what became of the threads.

Release 2 is rolled out while threads of release 1 pause in every way. The workers of release 1 are killed, all threads
are resumed, and the release is rolled back.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import httpx

from slipway.rollouts.choice import bucket_of
from tests.crash.cluster import Cluster, Web, running
from tests.version_drills.executed import Executed, hold_of, read_executed
from tests.waiting import wait_until

HERE: Final = Path(__file__).parent
RELEASES: Final = {release: HERE / f"release_{release}" / "langgraph.json" for release in ("1", "2")}
GRAPHS: Final = ("chain", "desk", "pair", "nested", "fan", "quiz")
NEW_THREADS: Final = 100
WEIGHT_PERCENT: Final = 20

JsonObject = dict[str, Any]


class Api:
    """The API of a web process."""

    def __init__(self, client: httpx.AsyncClient, web: Web) -> None:
        self._client, self._url = client, web.url

    async def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        response = await self._client.request(method, f"{self._url}{path}", json=body)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def run(self, graph: str, thread: str, **body: Any) -> JsonObject:
        """Creates a run."""
        request = {"assistant_id": graph, "input": {"log": []}, "if_not_exists": "create"} | body
        run: JsonObject = await self.call("POST", f"/threads/{thread}/runs", request)
        return run

    async def answer(self, graph: str, thread: str) -> JsonObject:
        """Answers all open questions of a thread with "yes"."""
        interrupts = (await self.call("GET", f"/threads/{thread}"))["interrupts"]
        answers = {each["id"]: "yes" for of_task in interrupts.values() for each in of_task}
        return await self.run(graph, thread, input=None, command={"resume": answers})

    async def last_runs(self, threads: Iterable[str]) -> dict[str, JsonObject]:
        """The newest run of each thread."""
        lists = await asyncio.gather(*(self.call("GET", f"/threads/{thread}/runs?limit=1") for thread in threads))
        return {runs[0]["thread_id"]: runs[0] for runs in lists}

    async def log(self, thread: str) -> list[str]:
        """The channel `log` of a thread."""
        return list((await self.call("GET", f"/threads/{thread}/state"))["values"].get("log", []))


Act = Callable[[Api, str], Awaitable[Any]]
"""Does something with a thread."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A kind of pause. `phase` is that of the newest run then."""

    name: str
    graph: str
    phase: str
    resume: Act | None
    """How the thread is resumed; None if a worker continues it without a request."""
    by: str
    """The release that ends the run: 2, or 1 if release 2 must hold the thread."""
    log: str
    """The log in the end: nodes and releases."""
    nodes: int = 0
    """How many nodes have ended then, if not as many as the log has lines."""


def answer(graph: str) -> Act:
    async def act(api: Api, thread: str) -> None:
        await api.answer(graph, thread)

    return act


async def run_again(api: Api, thread: str) -> None:
    await api.run("chain", thread)


async def operator_resumes(api: Api, thread: str) -> None:
    run = (await api.last_runs([thread]))[thread]
    await api.call("POST", f"/ops/runs/{run['run_id']}/resume", {})


WAITING_REASON: Final = "queued: no live worker serves chain@1"
MOVED: Final = "moved, then rolled back"
ASKS: Final = "waiting_for_approval"
PAUSES: Final = (
    Pause("idle", "chain", "completed", run_again, "2", "one@1 two@1 three@1 one@2 two@2 three@2 four@2"),
    Pause("in a superstep", "chain", "running", None, "2", "one@1 two@2 three@2 four@2"),
    Pause("paused by an operator", "chain", "paused", operator_resumes, "2", "one@1 two@1 three@2 four@2"),
    Pause("queued", "chain", "queued", None, "2", "one@2 two@2 three@2 four@2"),
    Pause("asks, node renamed", "desk", ASKS, answer("desk"), "2", "draft@1 ask_person:yes@2 send@2"),
    Pause(MOVED, "desk", ASKS, None, "1", "draft@1 ask:yes@1 send@1"),
    Pause("two ask, node renamed", "pair", ASKS, answer("pair"), "1", "ask_a:yes@1 ask_b:yes@1 end@1"),
    Pause("subgraph asks", "nested", ASKS, answer("nested"), "2", "intake@1 intake@1 look@1 ask_inside:yes@2", 3),
    Pause("a send asks", "fan", ASKS, answer("fan"), "2", "plan@1 work-a@1 work-b@1 work:yes@2 collect@2 audit@2"),
    Pause("functional, order changed", "quiz", ASKS, answer("quiz"), "1", "prepared@1 quiz:yes@1"),
)


@dataclass(slots=True)
class Row:
    """What became of the threads of one pause."""

    threads: list[str] = field(default_factory=list)
    by_release_2: int = 0
    """Resumed by release 2 after it was promoted."""
    held: int = 0
    reason: str = ""
    by_release_1: int = 0
    """Resumed by release 1 after the release was rolled back."""
    wrong: list[str] = field(default_factory=list)
    """Threads with another log in the end, or with a node that ended twice."""


class Drill:
    """The processes, the threads, and what became of them."""

    def __init__(self, cluster: Cluster, client: httpx.AsyncClient, threads_per_pause: int) -> None:
        self.cluster, self._client, self._per_pause = cluster, client, threads_per_pause
        self.rows = {pause.name: Row() for pause in PAUSES}
        self.new_threads: dict[str, str] = {}
        """Threads that were created during the ramp, with their version."""
        self.seconds: dict[str, float] = {}
        """How long each phase took."""

    async def start_release(self, release: str) -> None:
        """A web process and two workers."""
        project = RELEASES[release]
        workers = (self.cluster.start_worker(project=project) for _ in range(2))
        web, _ = await asyncio.gather(self.cluster.start_web(project), asyncio.gather(*workers))
        self.api = Api(self._client, web)

    def hold(self, node: str) -> Path:
        """Makes the node wait until the file is deleted."""
        path = hold_of(self.cluster.effects.path, node)
        path.touch()
        return path

    def executed(self) -> list[Executed]:
        return read_executed(self.cluster.effects.path)

    async def until_started(self, threads: Iterable[str], node: str) -> None:
        expected = set(threads)
        await wait_until(lambda: expected <= {each.thread for each in self.executed() if each.node == node})

    async def phases(self, threads: Iterable[str]) -> Counter[str]:
        """How many of the newest runs are in each phase."""
        return Counter(run["phase"] for run in (await self.api.last_runs(threads)).values())

    async def until_phase(self, threads: Iterable[str], *phases: str) -> None:
        """Waits until the newest run of each thread is in one of these phases."""
        waiting = list(threads)

        async def are() -> bool:
            return set(await self.phases(waiting)) <= set(phases)

        await wait_until(are)

    async def pause_threads(self) -> None:
        """Executes runs of release 1 until their threads are at each pause, except those that are queued."""
        for pause in PAUSES:
            if pause.phase != "queued":
                self.rows[pause.name].threads = [str(uuid4()) for _ in range(self._per_pause)]
        held = self.hold("two")
        paused = self.rows["paused by an operator"].threads
        runs = await asyncio.gather(*(self.api.run("chain", thread) for thread in paused))
        await self.until_started(paused, "two")
        pauses = (self.api.call("POST", f"/ops/runs/{run['run_id']}/pause", {"reason": "drill"}) for run in runs)
        await asyncio.gather(*pauses)
        held.unlink()
        for pause in PAUSES:
            if pause.phase in ("completed", ASKS):
                await asyncio.gather(*(self.api.run(pause.graph, each) for each in self.rows[pause.name].threads))
        for pause in PAUSES:
            if pause.phase in ("completed", ASKS, "paused"):
                await self.until_phase(self.rows[pause.name].threads, pause.phase)
        self.held = self.hold("two")
        running = self.rows["in a superstep"].threads
        await asyncio.gather(*(self.api.run("chain", thread) for thread in running))
        await self.until_started(running, "two")

    async def ramp(self) -> None:
        """Release 2 gets a share of the new threads."""
        release_1 = self.api
        await self.start_release("2")
        for graph in GRAPHS:
            await release_1.call("PUT", f"/ops/rollouts/{graph}", {"versions": {"2": WEIGHT_PERCENT}})
        threads = [str(uuid4()) for _ in range(NEW_THREADS)]
        await asyncio.gather(*(release_1.run("desk", thread) for thread in threads))
        await self.until_phase(threads, ASKS)
        self.new_threads = {thread: run["version"] for thread, run in (await self.api.last_runs(threads)).items()}

    async def kill_release_1(self) -> None:
        """SIGKILL for its workers and its web process. Runs that need it then wait and say why."""
        await asyncio.gather(*(worker.kill() for worker in self.cluster.workers[:2]), self.cluster.webs[0].kill())
        buckets = ((thread, bucket_of("chain", thread)) for thread in iter(lambda: str(uuid4()), ""))
        not_ramping = (thread for thread, bucket in buckets if bucket >= WEIGHT_PERCENT * 100)
        queued = self.rows["queued"].threads = list(islice(not_ramping, self._per_pause))
        await asyncio.gather(*(self.api.run("chain", thread) for thread in queued))
        waiting = [*queued, *self.rows["in a superstep"].threads]

        async def reasons() -> set[str]:
            return {f"{run['phase']}: {run['reason']}" for run in (await self.api.last_runs(waiting)).values()}

        with suppress(AssertionError):  # the comparison says more
            await wait_until(lambda: self._are(reasons, WAITING_REASON))
        found = await reasons()
        assert found == {WAITING_REASON}, found

    async def _are(self, reasons: Callable[[], Awaitable[set[str]]], reason: str) -> bool:
        return await reasons() == {reason}

    async def promote(self) -> None:
        """Release 2 becomes current, and every thread is resumed. Those that it must not continue are held."""
        for graph in GRAPHS:
            await self.api.call("POST", f"/ops/rollouts/{graph}/promote")
        self.held.unlink()
        await self.move_threads()
        resumed = [(pause.resume, self.rows[pause.name].threads) for pause in PAUSES if pause.resume is not None]
        acts = [resume(self.api, thread) for resume, threads in resumed for thread in threads]
        await asyncio.gather(*acts, *(self.api.answer("desk", thread) for thread in self.new_threads))
        for pause in PAUSES:
            row, is_held = self.rows[pause.name], pause.by == "1" and pause.resume is not None
            if pause.resume is not None or pause.by == "2":
                await self.until_phase(row.threads, "paused" if is_held else "completed")
            runs = (await self.api.last_runs(row.threads)).values()
            row.by_release_2 = sum(run["phase"] == "completed" for run in runs)
            row.held = sum(run["phase"] == "paused" for run in runs)
            row.reason = next((run["reason"] for run in runs if run["phase"] == "paused"), "")
        await self.until_phase(self.new_threads, "completed")

    async def move_threads(self) -> None:
        """Migrates threads that nobody has answered."""
        threads = [part for thread in self.rows[MOVED].threads for part in ("--thread", thread)]
        arguments = ("threads", "move", "--graph", "desk", "--to", "2", *threads)
        code, output = await self.cluster.command(*arguments, project=RELEASES["2"])
        assert code == 0, output
        for thread in self.rows[MOVED].threads:
            assert (await self.api.call("GET", f"/threads/{thread}"))["version"] == "2", output

    async def roll_back(self) -> None:
        """Release 1 is current again, and its workers resume what was held."""
        for graph in GRAPHS:
            await self.api.call("POST", f"/ops/rollouts/{graph}/rollback", {"reason": "drill"})
        await asyncio.gather(*(self.cluster.restart(worker) for worker in self.cluster.workers[:2]))
        await asyncio.gather(*(self.api.answer("desk", thread) for thread in self.rows[MOVED].threads))
        for pause in PAUSES:
            row = self.rows[pause.name]
            await self.until_phase(row.threads, "completed")
            row.by_release_1 = len(row.threads) - row.by_release_2

    async def check(self) -> None:
        """Compares the logs of all threads, and how often each node has ended."""
        ended = defaultdict[str, list[str]](list)
        for each in self.executed():
            if each.event == "ended":
                ended[each.thread].append(each.node)
        for pause in PAUSES:
            for thread in self.rows[pause.name].threads:
                log = await self.api.log(thread)
                if log != pause.log.split() or len(ended[thread]) != (pause.nodes or len(log)):
                    self.rows[pause.name].wrong.append(f"{thread}: {log}, ended: {ended[thread]}")


async def drill(threads_per_pause: int) -> Drill:
    """Drills a deploy in a temporary folder."""
    async with running() as cluster, httpx.AsyncClient(timeout=30) as client:
        drilled = Drill(cluster, client, threads_per_pause)
        await drilled.start_release("1")
        for phase in (
            drilled.pause_threads,
            drilled.ramp,
            drilled.kill_release_1,
            drilled.promote,
            drilled.roll_back,
            drilled.check,
        ):
            started = monotonic()
            await phase()
            drilled.seconds[phase.__name__] = monotonic() - started
        return drilled


def table(drilled: Drill) -> str:
    """What became of the threads, for people."""
    ramped = sum(version == "2" for version in drilled.new_threads.values())
    columns = ("pause", "graph", "threads", "by release 2", "held", "by release 1", "wrong", "why held")
    rows: list[tuple[Any, ...]] = []
    for pause in PAUSES:
        row = drilled.rows[pause.name]
        counts = (len(row.threads), row.by_release_2, row.held, row.by_release_1, len(row.wrong))
        rows.append((pause.name, pause.graph, *counts, row.reason[:100]))
    lines = [[str(each) for each in line] for line in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    share = f"{ramped} of {len(drilled.new_threads)} new threads got release 2 at {WEIGHT_PERCENT} %"
    seconds = ", ".join(f"{name} {took:.1f} s" for name, took in drilled.seconds.items())
    return "\n".join([*text, "", share, seconds])


def problems(drilled: Drill) -> list[str]:
    """What is not as it must be."""
    found = [wrong for row in drilled.rows.values() for wrong in row.wrong]
    for pause in PAUSES:
        row, by_2 = drilled.rows[pause.name], pause.by == "2"
        if row.by_release_2 != (len(row.threads) if by_2 else 0):
            found.append(f"{pause.name}: release 2 resumed {row.by_release_2} of {len(row.threads)} threads")
        if row.held != (len(row.threads) if not by_2 and pause.resume else 0):
            found.append(f"{pause.name}: {row.held} of {len(row.threads)} threads were held")
    for thread, version in drilled.new_threads.items():
        chosen = "2" if bucket_of("desk", thread) < WEIGHT_PERCENT * 100 else "1"
        if version != chosen:
            found.append(f"the new thread {thread} got version {version} instead of {chosen}")
    return found


if __name__ == "__main__":
    result = asyncio.run(drill(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
    print(table(result))
    sys.exit("\n".join(problems(result)) or 0)
