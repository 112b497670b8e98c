"""Random histories of operators and reviewers on runs whose tools act, while processes are killed:
`python -m tests.crash.operated_histories [--seconds 180] [--seed N]`.

Each history is a thread. An operation is a request that is repeated until a web process responds; the web process may
be killed in the middle of it. In the end everything is mended, and the run must complete. A short form is a test of
`test_tool_calls.py`; the command kills a worker or Valkey each second as well, and prints what it did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import structlog

from slipway.runs.queue_scripts import QueueScripts
from tests.crash.cluster import Cluster, Web, running
from tests.waiting import wait_until

PROJECT: Final = Path(__file__).with_name("tools_project") / "langgraph.json"
ORDERS: Final = ("a", "b")
NODES: Final = (None, "plan", "pay", "ship")
REST_WITHIN_S: Final = 60.0
_RESTING: Final = ("paused", "waiting_for_approval", "completed", "failed", "cancelled")
_AUDITED_ONCE: Final = ("run.paused", "run.resumed", "run.retried", "run.node_skipped", "run.state_edited",
                        "run.cancelled", "ceiling.raised")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """A response."""

    status: int
    body: Any


@dataclass
class Disturbances:
    """Kills processes of a cluster, and starts them again."""

    cluster: Cluster
    random: Random
    every_s: tuple[float, float] = (0.1, 0.6)
    with_valkey: bool = False
    kills: Counter[str] = field(default_factory=Counter)
    _web: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def until_the_end(self) -> AsyncIterator[None]:
        """Kills a process again and again, until the block ends. Then all processes run."""
        ended = asyncio.Event()
        killing = asyncio.create_task(self._kill(ended))
        try:
            yield
        finally:
            ended.set()
            await killing
            await self.cluster.start_stopped_processes()

    async def _kill(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), self.random.uniform(*self.every_s))
            except TimeoutError:
                for worker in self.cluster.workers:
                    if not worker.alive:  # Valkey was killed while it started
                        worker.start()
                await (self._kill_valkey() if self.with_valkey and self.random.random() < 0.2 else self.kill_worker())

    async def _kill_valkey(self) -> None:
        await self.cluster.valkey.kill()
        self.kills["valkey"] += 1
        await self.cluster.start_valkey()

    async def kill_worker(self) -> None:
        """Its runs are reclaimed as a supervisor does, or when their leases have expired."""
        worker = self.random.choice([each for each in self.cluster.workers if each.alive] or [None])
        if worker is None:
            return
        names = await self.cluster.pipeline.send("ZRANGE", self.cluster.keys.workers, 0, -1, repeatable=True)
        await worker.kill()
        self.kills["worker"] += 1
        if self.random.random() < 0.7:
            queue = QueueScripts(self.cluster.pipeline, self.cluster.keys)
            for name in names:
                if f":{worker.pid}:".encode() in name:
                    await queue.run_reap(event_ttl_s=600, pause_ms=0, worker=name.decode())
        worker.start()

    async def kill_web(self, after_s: float) -> None:
        """Kills a web process after a time, and returns when it responds again."""
        async with self._web:
            await asyncio.sleep(after_s)
            web = self.random.choice(self.cluster.webs)
            await web.kill()
            self.kills["web"] += 1
            while not await _starts(web):
                pass


async def _starts(web: Web) -> bool:
    """False if it exits, because Valkey was killed at this moment."""
    if not web.alive:
        web.start()
    try:
        await web.wait_until_ready()
    except AssertionError:
        if web.alive:
            raise
        return False
    return True


class History:
    """One thread, and what is done to its runs."""

    def __init__(self, cluster: Cluster, disturbances: Disturbances, seed: int) -> None:
        self.cluster, self.disturbances, self.random = cluster, disturbances, Random(seed)
        self.seed, self.thread_id = seed, str(uuid.uuid4())
        self.broken = cluster.folder / f"broken-{self.thread_id}"
        self.http = httpx.AsyncClient(timeout=30)
        self.did: list[str] = []
        self.chains = self.repeats = self._numbers = 0
        self.used: dict[str, float] = {}
        """The most supersteps that each run was seen with."""
        self.changed: Counter[str] = Counter()
        """By the reason of an operation: how often a response said that it has changed the run."""

    # requests

    async def send(
        self, method: str, path: str, body: Any = None, *, kill_web: bool = False, key: str | None = None
    ) -> Reply:
        """Repeats the request until a web process responds. `key` is its idempotency key."""
        killing, headers = None, None if key is None else {"Idempotency-Key": key}
        if kill_web:
            killing = asyncio.create_task(self.disturbances.kill_web(self.random.uniform(0, 0.02)))
        try:
            for _ in range(2000):
                url = self.random.choice(self.cluster.webs).url
                with suppress(httpx.TransportError):
                    response = await self.http.request(method, url + path, json=body, headers=headers)
                    if response.status_code != 503:
                        assert response.status_code < 500, f"{method} {path}: {response.text}"
                        return Reply(response.status_code, response.json() if response.content else None)
                await asyncio.sleep(0.02)  # until a killed process has started again
            raise AssertionError(f"{method} {path}: no web process responded")
        finally:
            if killing is not None:
                await killing

    async def get(self, path: str) -> Any:
        return (await self.send("GET", path)).body

    async def operate(self, run: dict[str, Any], operation: str, **body: Any) -> Reply:
        """An operation, which may be repeated although it was successful: then it has the same result."""
        self._numbers += 1
        reason = f"{self._numbers} {operation}"
        path, body = f"/ops/runs/{run['run_id']}/{operation}", body | {"reason": reason}
        reply = await self.send("POST", path, body, kill_web=self.random.random() < 0.15)
        replies = [reply]
        if self.random.random() < 0.25:
            replies.append(await self.send("POST", path, body))
            if operation == "retry" and reply.status == 200:
                assert replies[1].status == 200, replies[1].body
                assert replies[1].body["run"]["run_id"] == reply.body["run"]["run_id"]
        self.changed[reason] += sum(each.status == 200 and each.body["changed"] for each in replies)
        assert self.changed[reason] <= 1, f"{reason} has changed the run twice"
        said = "" if reply.status == 200 else f" ({reply.status}: {reply.body.get('detail')})"
        self.did.append(f"{reason} {run['run_id'][-4:]} {body}{said}")
        if body.get("repeat") and reply.status == 200:
            self.repeats += 1
        return reply

    # what is there

    async def runs(self) -> list[dict[str, Any]]:
        """All runs of the thread, the newest first."""
        runs: list[dict[str, Any]] = await self.get(f"/threads/{self.thread_id}/runs?limit=100")
        for run in runs:
            steps = (run["usage"] or {}).get("steps", 0)
            assert steps >= self.used.get(run["run_id"], 0), "usage goes down"
            self.used[run["run_id"]] = steps
        return runs

    async def trail(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.get(f"/ops/runs/{run['run_id']}/audit?limit=1000"))["entries"]
        return entries

    async def reviews(self, *, open_only: bool) -> list[dict[str, Any]]:
        found = []
        for run in await self.runs():
            for entry in await self.trail(run):
                if entry["action"] == "review.opened":
                    reply = await self.send("GET", f"/ops/reviews/{entry['details']['review_id']}")
                    if reply.status == 200 and (not open_only or reply.body["state"] in ("open", "claimed")):
                        found.append(reply.body)
        return found

    def acts(self) -> list[dict[str, Any]]:
        file = Path(f"{self.cluster.effects.path}.acts")
        lines = file.read_text().splitlines() if file.exists() else []
        return [each for each in map(json.loads, lines) if each["thread"] == self.thread_id]

    # the history

    async def start(self) -> None:
        """Begins a chain of runs."""
        self.chains += 1
        orders = [f"{order}{self.chains}" for order in ORDERS]
        ceilings = {"max_tool_calls": self.random.choice([2, 3, 100])}
        body = {
            "assistant_id": "errands",
            "input": {"orders": orders, "broken": str(self.broken), "results": []},
            "config": {"configurable": {"ceilings": ceilings}},
            "if_not_exists": "create",
        }
        reply = await self.send("POST", f"/threads/{self.thread_id}/runs", body, key=str(uuid.uuid4()))
        assert reply.status == 200, reply.body

    async def act(self) -> None:
        actions: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self.wait, 24),
            (self.approve, 20),
            (self.edit_call, 5),
            (self.reject, 1),
            (self.pause, 6),
            (self.resume, 6),
            (self.retry, 8),
            (self.retry_from_checkpoint, 5),
            (self.skip, 4),
            (self.edit_state, 6),
            (self.cancel, 3),
            (self.raise_ceiling, 4),
            (self.break_or_mend, 5),
            (self.start_another, 1),
        ]
        (action,) = self.random.choices([each for each, _ in actions], [weight for _, weight in actions])
        await action()

    async def _any(self) -> dict[str, Any]:
        runs = await self.runs()
        return runs[0] if self.random.random() < 0.8 else self.random.choice(runs)

    async def wait(self) -> None:
        await asyncio.sleep(self.random.uniform(0, 0.15))  # lets the run execute

    async def _decide(self, **decision: Any) -> None:
        if reviews := await self.reviews(open_only=True):
            review = self.random.choice(reviews)
            path = f"/ops/reviews/{review['review_id']}/decide"
            reply = await self.send("POST", path, decision, kill_web=self.random.random() < 0.15)
            self.did.append(f"decide {review['review_id'][-4:]} {decision} {reply.status}")

    async def approve(self) -> None:
        await self._decide(kind="approve")

    async def reject(self) -> None:
        await self._decide(kind="reject")

    async def edit_call(self) -> None:
        for review in (await self.reviews(open_only=True))[:1]:
            args = review["question"]["actions"][0]["args"] | {"amount": self.random.choice([1, 7])}
            reply = await self.send(
                "POST", f"/ops/reviews/{review['review_id']}/decide", {"kind": "edit", "args": args}
            )
            self.did.append(f"edit call {review['review_id'][-4:]} {reply.status}")

    async def pause(self) -> None:
        await self.operate(await self._any(), "pause")

    async def resume(self) -> None:
        await self.operate(await self._any(), "resume")

    async def retry(self) -> None:
        await self.operate(await self._any(), "retry")

    async def retry_from_checkpoint(self) -> None:
        history = await self.get(f"/threads/{self.thread_id}/history?limit=50")
        if history:
            checkpoint_id = self.random.choice(history)["checkpoint"]["checkpoint_id"]
            await self.operate(
                await self._any(), "retry", checkpoint_id=checkpoint_id, repeat=self.random.random() < 0.3
            )

    async def skip(self) -> None:
        await self.operate(await self._any(), "skip-node", node=self.random.choice(NODES[1:]))

    async def edit_state(self) -> None:
        await self.operate(
            await self._any(),
            "edit-state",
            values={"results": [f"edit {self._numbers}"]},
            as_node=self.random.choice(NODES),
            resume=self.random.random() < 0.7,
            repeat=self.random.random() < 0.2,
        )

    async def cancel(self) -> None:
        await self.operate(await self._any(), "cancel")

    async def raise_ceiling(self) -> None:
        limit = self.random.choice([4, 10, 100])
        resume = self.random.random() < 0.6
        await self.operate(await self._any(), "ceilings", limits={"max_tool_calls": limit}, resume=resume)

    async def break_or_mend(self) -> None:
        if self.broken.exists():
            self.broken.unlink()
        else:
            self.broken.touch()

    async def start_another(self) -> None:
        if self.chains < 3:
            await self.start()

    # the end

    async def rests(self) -> bool:
        """Whether each run has ended or waits for somebody: also a run behind one that is paused."""
        phases = [run["phase"] for run in await self.runs()]
        return all(phase in _RESTING or (phase == "queued" and "paused" in phases) for phase in phases)

    async def finish(self) -> None:
        """Everything is mended, approved and continued until the last run has completed."""
        self.broken.unlink(missing_ok=True)
        for _ in range(20):
            await wait_until(self.rests, REST_WITHIN_S)
            started = [run for run in await self.runs() if run["phase"] != "cancelled" or run["attempt"] > 0]
            waiting = [run for run in started if run["phase"] in ("paused", "waiting_for_approval")]
            if not started or (not waiting and started[0]["phase"] == "completed"):
                return
            newest = (waiting or started)[0]
            if newest["phase"] == "paused":
                await self.operate(newest, "resume")
            elif newest["phase"] == "waiting_for_approval":
                for review in await self.reviews(open_only=True):
                    await self.send("POST", f"/ops/reviews/{review['review_id']}/decide", {"kind": "approve"})
            elif (newest["error"] or {}).get("code") == "ceiling.tool_calls":
                await self.operate(newest, "ceilings", limits={"max_tool_calls": 100}, resume=True)
            elif (newest["error"] or {}).get("code") == "tool.rejected":  # it is not asked about again
                await self.operate(newest, "skip-node", node="pay")
            else:
                await self.operate(newest, "retry")
        raise AssertionError(f"the chain does not end: {newest['phase']}, {newest['reason']}, {newest['error']}")

    async def check(self) -> None:
        """What holds for every history."""
        runs = await self.runs()
        approved, permitted, begun, ended_at = await self._trails(runs)
        by_order: dict[tuple[str, str], set[str]] = {}
        for act in self.acts():
            call = (act["key"], act["tool"])
            by_order.setdefault((act["tool"], act["args"]["order"]), set()).add(act["key"])
            if act["tool"] == "pay_order":
                assert (act["key"], act["args"]["amount"]) in approved, f"{act} was not approved"
            assert act["at"] <= ended_at.get(act["key"], act["at"]) + 0.005, f"{call} acts after its end"
        acted = Counter(act["key"] for act in self.acts())
        crashes = sum(run["attempt"] for run in runs) - sum(run["attempt"] > 0 for run in runs)
        for key, times in acted.items():
            assert times <= permitted[key], "each act has begun"
            assert times <= 1 + crashes, "only a crash repeats an act"
        for order, keys in by_order.items():
            made = [f"{key} by {begun[key]}" for key in sorted(keys)]
            assert len(keys) <= 1 + self.repeats, f"{order} was done as {made}, although {self.repeats} were permitted"

    async def _trails(
        self, runs: list[dict[str, Any]]
    ) -> tuple[set[tuple[str, int]], Counter[str], dict[str, str], dict[str, float]]:
        """What was approved (key and amount), how often each call has begun, where, and when it ended."""
        approved: set[tuple[str, int]] = set()
        permitted: Counter[str] = Counter()
        begun: dict[str, str] = {}
        ended_at: dict[str, float] = {}
        for run in runs:
            entries, once = await self.trail(run), Counter[str]()
            for entry in entries:
                action, details = entry["action"], entry["details"]
                if action in ("review.decided", "review.expired"):
                    once[f"decision of {details['review_id']}"] += 1
                elif action in _AUDITED_ONCE and details.get("reason"):
                    once[f"{action} {details['reason']}"] += 1
                elif action == "tool.permitted":
                    permitted[details["call"]] += 1
                    begun[details["call"]] = f"{run['run_id'][-4:]} at {details['checkpoint']}"
                elif action == "tool.called":
                    ended_at[details["call"]] = int(entry["id"].partition("-")[0]) / 1000 + 0.001
            assert not (twice := [each for each, times in once.items() if times > 1]), twice
            for reason, changed in self.changed.items():
                operated = run["run_id"][-4:]
                if (
                    changed
                    and not reason.endswith(("pause", "skip-node"))
                    and any(did.startswith(f"{reason} {operated} ") for did in self.did)
                ):
                    assert any(each.endswith(f" {reason}") for each in once), f"{reason} is not in the audit trail"
        for review in await self.reviews(open_only=False):
            if (outcome := review["decision"]) is not None:
                (decision,), (action,) = outcome["decisions"], review["question"]["actions"]
                args = decision["args"] if decision["kind"] == "edit" else action["args"]
                if decision["kind"] in ("approve", "edit"):
                    approved.add((review["interrupt"]["value"]["slipway"]["call"], args["amount"]))
        return approved, permitted, begun, ended_at


async def histories(cluster: Cluster, seeds: range, steps: int, *, at_once: int = 8) -> str:
    """Executes and checks a history for each seed, `at_once` together. Returns what was done, as a sentence."""
    total, started = Counter[str](), time.monotonic()
    for first in range(seeds.start, seeds.stop, at_once):
        batch = range(first, min(first + at_once, seeds.stop))
        total += await _together(Disturbances(cluster, Random(first)), batch, steps)
    return _summary(total, started)


async def _together(disturbances: Disturbances, seeds: range, steps: int) -> Counter[str]:
    """Executes and checks a history for each seed at once, and then runs `slipway doctor`. Returns what was done."""
    cluster = disturbances.cluster
    batch = [History(cluster, disturbances, seed) for seed in seeds]
    try:
        async with disturbances.until_the_end():
            await asyncio.gather(*(_proceed(history, steps) for history in batch))
        for history in batch:
            await _checked(history, history.finish)
            await _checked(history, history.check)
        code, output = await cluster.doctor()
        assert code == 0, f"{seeds}: {output}"
    finally:
        for history in batch:
            await history.http.aclose()
    done = Counter({f"killed {name}": times for name, times in disturbances.kills.items()})
    for history in batch:
        done += Counter(histories=1, operations=len(history.did), acts=len(history.acts()))
    return done


def _summary(done: Counter[str], started: float) -> str:
    return f"in {time.monotonic() - started:.0f} s: " + ", ".join(f"{times} {name}" for name, times in done.items())


async def _proceed(history: History, steps: int) -> None:
    async def proceed() -> None:
        await history.start()
        for _ in range(steps):
            await history.act()

    await _checked(history, proceed)


async def _checked(history: History, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except AssertionError as error:
        did = "\n".join(history.did)
        phases = [(run["run_id"][-4:], run["phase"], run["reason"]) for run in await history.runs()]
        raise AssertionError(f"seed {history.seed}, {history.thread_id}: {error}\n{phases}\n{did}") from error


async def soak(seconds: float, seed: int) -> str:
    """Batches of histories, while a worker or Valkey is killed each second. Returns what was done."""
    total, started = Counter[str](), time.monotonic()
    async with running(webs=2, workers=3, project=PROJECT) as cluster:
        while time.monotonic() < started + seconds:
            disturbances = Disturbances(cluster, Random(seed), every_s=(1, 1), with_valkey=True)
            total += await _together(disturbances, range(seed, seed + 8), steps=40)
            seed += 8
    return _summary(total, started)


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    parser = argparse.ArgumentParser(prog="python -m tests.crash.operated_histories", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    print(asyncio.run(soak(arguments.seconds, arguments.seed)))


if __name__ == "__main__":
    main()
