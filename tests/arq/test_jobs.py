"""arq's own rules hold for jobs in a worker, faults do not end it, and a drain covers them."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from typing import Any

import pytest
from arq import Retry, cron, func
from arq.connections import RedisSettings
from arq.jobs import Job
from arq.worker import JobExecutionFailed
from structlog.testing import capture_logs

from slipway.arq_jobs.redis_pool import ProjectRedis
from slipway.settings import Settings
from slipway_workers.arq_jobs import FIRST_PAUSE_S, ArqJobs
from tests.arq.conftest import Running, queue_name
from tests.proxy import proxied
from tests.waiting import wait_until


async def enqueue(jobs: ArqJobs, function: str, *args: Any, **options: Any) -> Job:
    job = await jobs.pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


async def result_of(job: Job) -> Any:
    return await job.result(timeout=20, poll_delay=0.01)


def events_in(logs: list[Any]) -> list[str]:
    return [entry["event"] for entry in logs]


class NoException(BaseException):
    """arq handles only classes of `Exception`."""


class Project:
    """Functions and hooks that record what happens to them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.started, self.may_end = asyncio.Event(), asyncio.Event()
        self.startup_errors: list[BaseException] = []

    async def on_startup(self, ctx: dict[Any, Any]) -> None:
        self.calls.append("startup")
        if self.startup_errors:
            raise self.startup_errors.pop(0)
        ctx["resource"] = "open"

    async def on_shutdown(self, ctx: dict[Any, Any]) -> None:
        self.calls.append(f"shutdown {ctx.get('resource')}")

    async def on_job_start(self, ctx: dict[Any, Any]) -> None:
        self.calls.append(f"start {ctx['job_try']}")

    async def after_job_end(self, ctx: dict[Any, Any]) -> None:
        self.calls.append("after end")

    async def hold(self, ctx: dict[Any, Any]) -> str:
        self.calls.append("hold")
        self.started.set()
        await self.may_end.wait()
        return "held"

    async def ignore_cancellation(self, ctx: dict[Any, Any]) -> None:
        self.started.set()
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.calls.append("ignored")

    async def quick(self, ctx: dict[Any, Any]) -> str:
        return "quick"

    async def fail_twice(self, ctx: dict[Any, Any]) -> int:
        if ctx["job_try"] < 3:
            raise Retry(defer=0.01)
        return int(ctx["job_try"])

    async def leave(self, ctx: dict[Any, Any]) -> None:
        sys.exit(4)

    async def leave_in_a_task(self, ctx: dict[Any, Any]) -> None:
        async def leave() -> None:
            sys.exit(5)

        await asyncio.gather(leave())

    async def raise_no_exception(self, ctx: dict[Any, Any]) -> None:
        raise NoException

    async def raise_generator_exit(self, ctx: dict[Any, Any]) -> None:
        raise GeneratorExit

    def functions(self) -> list[Any]:
        every = (
            self.hold,
            self.ignore_cancellation,
            self.quick,
            self.fail_twice,
            self.leave,
            self.leave_in_a_task,
            self.raise_no_exception,
            self.raise_generator_exit,
        )
        return [func(each, name=each.__name__) for each in every]


@pytest.fixture
def project() -> Project:
    return Project()


async def test_hooks_context_retries_and_results_are_those_of_arq(
    running: Running, project: Project, settings: Settings
) -> None:
    """Also with a single connection."""
    options = {"settings": settings.model_copy(update={"arq_connections": 1})}
    options |= {name: getattr(project, name) for name in ("on_startup", "on_shutdown", "on_job_start", "after_job_end")}
    async with running(functions=project.functions(), **options) as jobs:
        assert await result_of(await enqueue(jobs, "fail_twice")) == 3
        await wait_until(lambda: project.calls.count("after end") == 3)
    tries = [part for number in (1, 2, 3) for part in (f"start {number}", "after end")]
    assert project.calls == ["startup", *tries, "shutdown open"]


async def test_the_limit_of_jobs_is_kept_and_a_job_can_be_aborted(running: Running, project: Project) -> None:
    async with running(functions=project.functions(), max_jobs=1, allow_abort_jobs=True) as jobs:
        first, second = await enqueue(jobs, "hold"), await enqueue(jobs, "quick", _defer_by=0.001)
        await project.started.wait()
        assert await second.result_info() is None
        assert await first.abort(timeout=20, poll_delay=0.01)
        assert await result_of(second) == "quick"


async def test_a_cron_job_is_executed_once_by_two_workers(running: Running) -> None:
    times: list[str] = []

    async def tick(ctx: dict[Any, Any]) -> None:
        times.append(ctx["job_id"])

    def crons() -> list[Any]:
        return [cron(tick, name=name, second=set(range(60)), microsecond=0)]

    name, queue = f"tick-{uuid.uuid4().hex}", queue_name()
    async with running(cron_jobs=crons(), queue_name=queue), running(cron_jobs=crons(), queue_name=queue):
        await wait_until(lambda: len(times) >= 3)
    assert len(times) == len(set(times))


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("leave", "SystemExit"),
        ("leave_in_a_task", "SystemExit"),
        ("raise_no_exception", "NoException"),
        ("raise_generator_exit", "GeneratorExit"),
    ],
)
async def test_a_function_that_exits_fails_its_job(
    running: Running, project: Project, redis: ProjectRedis, name: str, raised: str
) -> None:
    """Also for a program without Slipway, which reads the result."""
    async with running(functions=project.functions()) as jobs:
        job = await enqueue(jobs, name)
        with pytest.raises(JobExecutionFailed, match=f"{name} raised {raised}"):
            await result_of(job)
        assert b"slipway" not in (await redis.get(f"arq:result:{job.job_id}") or b"slipway")
        assert await result_of(await enqueue(jobs, "quick")) == "quick"


async def test_the_task_of_a_job_has_a_telling_name(running: Running, project: Project) -> None:
    async with running(functions=project.functions()) as jobs:
        job = await enqueue(jobs, "hold")
        await project.started.wait()
        assert f"arq job hold:{job.job_id}" in {task.get_name() for task in asyncio.all_tasks()}
        project.may_end.set()
        await result_of(job)


async def test_a_hook_that_raises_does_not_stop_other_jobs(running: Running, project: Project) -> None:
    async def on_job_start(ctx: dict[Any, Any]) -> None:
        if ctx["job_id"].startswith("bad"):
            sys.exit(1) if ctx["job_id"].startswith("bad-exit") else 1 / 0

    with capture_logs() as logs:
        async with running(functions=project.functions(), on_job_start=on_job_start) as jobs:
            held = await enqueue(jobs, "hold")
            await project.started.wait()
            for kind in ("bad", "bad-exit"):
                await enqueue(jobs, "quick", _job_id=f"{kind}-{uuid.uuid4().hex}")
            await wait_until(lambda: events_in(logs).count("arq.job_unfinished") == 2)
            assert await result_of(await enqueue(jobs, "quick")) == "quick"
            project.may_end.set()
            assert await result_of(held) == "held"
    problems = {entry["problem"] for entry in logs if entry["event"] == "arq.job_unfinished"}
    assert problems == {"ZeroDivisionError('division by zero')", "SystemExit(1)"}


async def test_a_job_that_cannot_be_read_fails_alone(running: Running, project: Project, redis: ProjectRedis) -> None:
    queue, unreadable = queue_name(), uuid.uuid4().hex
    await redis.set(f"arq:job:{unreadable}", b"not a pickle", px=60_000)
    await redis.zadd(queue, {unreadable: 1})
    async with running(functions=project.functions(), queue_name=queue) as jobs:
        assert await result_of(await enqueue(jobs, "quick")) == "quick"
        await wait_until(lambda: jobs.jobs_failed == 1)


async def test_a_redis_that_does_not_reply_is_a_fault_until_it_replies(
    running: Running, project: Project, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that ends while it starts a job would leave the in-progress key of arq, and the job would wait until it
    expires. So only the round without replies ends soon."""
    monkeypatch.setattr("slipway_workers.arq_jobs.STALLED_AFTER_S", 0.2)
    async with proxied(valkey_url) as proxy:
        own, faults = RedisSettings(unix_socket_path=proxy.url.removeprefix("unix://")), list[None]()
        async with running(lambda: faults.append(None), functions=project.functions(), redis_settings=own) as jobs:
            proxy.hold_replies()
            await wait_until(lambda: faults)
            monkeypatch.undo()
            proxy.release_replies()
            assert await result_of(await enqueue(jobs, "quick")) == "quick"


async def test_a_start_that_cancels_its_task_is_a_fault(running: Running, project: Project) -> None:
    async def on_startup(ctx: dict[Any, Any]) -> None:
        if not faults:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    faults = list[None]()
    async with running(lambda: faults.append(None), functions=project.functions(), on_startup=on_startup) as jobs:
        assert await result_of(await enqueue(jobs, "quick")) == "quick"
    assert len(faults) == 1


@pytest.mark.parametrize("error", [RuntimeError("not yet"), SystemExit(3), asyncio.CancelledError()], ids=repr)
async def test_a_start_that_raises_is_repeated_after_a_pause(
    running: Running, project: Project, error: BaseException
) -> None:
    project.startup_errors, faults = [error], list[float]()
    hooks = {"on_startup": project.on_startup, "on_shutdown": project.on_shutdown}
    with capture_logs() as logs:
        async with running(lambda: faults.append(time.monotonic()), functions=project.functions(), **hooks) as jobs:
            assert await result_of(await enqueue(jobs, "quick")) == "quick"
            assert time.monotonic() - faults[0] >= FIRST_PAUSE_S
    assert project.calls == ["startup", "shutdown None", "startup", "shutdown open"]
    [entry] = [entry for entry in logs if entry["event"] == "arq.failed"]
    assert (entry["problem"], entry["retry_in_s"]) == (repr(error), FIRST_PAUSE_S)
    assert events_in(logs).count("arq.recovered") == 1


async def test_a_queue_of_another_type_is_a_fault_until_it_is_repaired(
    running: Running, project: Project, redis: ProjectRedis
) -> None:
    queue, faults = queue_name(), list[None]()
    with capture_logs() as logs:
        async with running(lambda: faults.append(None), functions=project.functions(), queue_name=queue) as jobs:
            held = await enqueue(jobs, "hold")
            await project.started.wait()
            await redis.delete(queue)
            await redis.set(queue, "text")
            await wait_until(lambda: faults)
            await redis.delete(queue)
            assert await result_of(await enqueue(jobs, "quick")) == "quick"
            project.may_end.set()
            await wait_until(lambda: jobs.jobs_complete == 2)
            assert held.job_id
    problems = [entry["problem"] for entry in logs if entry["event"] == "arq.failed"]
    assert all("WRONGTYPE" in problem for problem in problems)


async def test_jobs_end_and_start_after_an_outage(running: Running, project: Project, valkey_url: str) -> None:
    async with proxied(valkey_url) as proxy:
        own = RedisSettings(unix_socket_path=proxy.url.removeprefix("unix://"))
        faults = list[None]()
        async with running(
            lambda: faults.append(None), functions=project.functions(), redis_settings=own, max_jobs=2
        ) as jobs:
            held = await enqueue(jobs, "hold")
            await project.started.wait()
            proxy.rejecting = True
            proxy.cut()
            await wait_until(lambda: faults)
            proxy.rejecting = False
            assert await result_of(await enqueue(jobs, "quick")) == "quick"
            project.may_end.set()
            assert await result_of(held) == "held"


async def test_a_start_of_a_job_that_raises_costs_no_slot(
    running: Running, project: Project, redis: ProjectRedis
) -> None:
    """arq raises for an id that is not text, after it has taken a slot for the job."""
    queue, faults = queue_name(), list[float]()
    await redis.zadd(queue, {b"\xff": 1})
    async with running(
        lambda: faults.append(time.monotonic()), functions=project.functions(), queue_name=queue, max_jobs=1
    ) as jobs:
        await wait_until(lambda: len(faults) == 3)
        assert (faults[1] - faults[0] >= FIRST_PAUSE_S, faults[2] - faults[1] >= 2 * FIRST_PAUSE_S) == (True, True)
        await redis.zrem(queue, b"\xff")
        assert await result_of(await enqueue(jobs, "quick")) == "quick"


async def test_a_redis_that_is_unavailable_at_the_start_is_a_fault(running: Running, project: Project) -> None:
    own, faults = RedisSettings(unix_socket_path="/nonexistent/redis.sock"), list[None]()
    async with running(lambda: faults.append(None), functions=project.functions(), redis_settings=own) as jobs:
        await wait_until(lambda: faults)
        assert jobs.main_task is not None
        assert not jobs.main_task.done()


async def test_a_drain_lets_jobs_end_and_picks_no_other(running: Running, project: Project) -> None:
    async with running(
        functions=project.functions(), max_jobs=1, on_startup=project.on_startup, on_shutdown=project.on_shutdown
    ) as jobs:
        held, queued = await enqueue(jobs, "hold"), await enqueue(jobs, "quick", _defer_by=0.001)
        await project.started.wait()
        drain = asyncio.create_task(jobs.drain(20))
        await wait_until(lambda: not jobs.allow_pick_jobs)
        project.may_end.set()
        await drain
        assert await result_of(held) == "held"
        assert await queued.result_info() is None
        assert project.calls == ["startup", "hold", "shutdown open"]


async def test_a_job_that_does_not_end_in_time_is_executed_again_elsewhere(running: Running, project: Project) -> None:
    queue = queue_name()
    async with running(functions=project.functions(), queue_name=queue) as jobs:
        job = await enqueue(jobs, "hold")
        await project.started.wait()
        await jobs.drain(0.05)
        assert jobs.jobs_retried == 1
    project.started.clear()
    project.may_end.set()
    async with running(functions=project.functions(), queue_name=queue) as other:
        assert await result_of(Job(job.job_id, other.pool, queue)) == "held"
    assert project.calls == ["hold", "hold"]


async def test_a_drain_ends_although_a_job_and_a_hook_ignore_it(running: Running, project: Project) -> None:
    async with running(functions=project.functions(), on_shutdown=project.ignore_cancellation) as jobs:
        await enqueue(jobs, "ignore_cancellation")
        await project.started.wait()
        began = time.monotonic()
        await jobs.drain(0)
        assert time.monotonic() - began < 2
        project.may_end.set()
        await wait_until(lambda: jobs.job_counter == 0)
    assert "ignored" in project.calls


async def test_a_drain_ends_a_start_that_does_not_return(running: Running, project: Project) -> None:
    options = {"on_startup": project.hold, "on_shutdown": project.on_shutdown}
    async with running(functions=project.functions(), **options) as jobs:
        await project.started.wait()
        await jobs.drain(0)
    assert project.calls == ["hold", "shutdown None"]
