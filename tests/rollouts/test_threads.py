"""Which version the runs of existing threads get while a rollout goes on."""

from __future__ import annotations

from typing import Any

from slipway_workers.process import WorkerProcess
from tests.rollouts.conftest import Desk
from tests.waiting import Eventually

PATH = "/ops/rollouts/desk"


class Threads:
    """Changes the rollout in all processes, and executes runs on threads."""

    def __init__(self, desk: Desk, worker: WorkerProcess, eventually: Eventually) -> None:
        self.desk, self.worker, self.eventually = desk, worker, eventually

    async def change(self, method: str, path: str, body: Any = None) -> None:
        await self.desk.send(method, path, json={} if body is None else body)
        known = self.desk.served.services.rollout_watch
        await self.eventually(lambda: self.worker.services.rollout_watch.rollouts == known.rollouts)

    async def run(self, thread_id: str | None = None) -> tuple[str, str]:
        """The thread, and the version that has executed the run."""
        if thread_id is None:
            thread_id = str((await self.desk.send("POST", "/threads", json={}))["thread_id"])
        body = {"assistant_id": "desk", "input": {}}
        values = await self.desk.send("POST", f"/threads/{thread_id}/runs/wait", json=body)
        thread = await self.desk.send("GET", f"/threads/{thread_id}")
        assert thread["values"]["version"] == values["version"]
        return thread_id, str(values["version"])


async def test_threads_stay_while_a_version_ramps_and_move_when_it_is_promoted_or_rolled_back(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    threads = Threads(desk, worker, eventually)
    old, version = await threads.run()
    assert version == "1"
    await threads.change("PUT", PATH, {"versions": {"2": 100}})
    new, version = await threads.run()
    assert version == "2"
    assert (await threads.run(old))[1] == "1", "a ramp is for new threads"
    await threads.change("PUT", PATH, {"versions": {"2": 0}})
    assert (await threads.run(new))[1] == "2", "a smaller share takes no thread back"
    assert (await threads.run())[1] == "1"

    await threads.change("POST", f"{PATH}/promote")
    assert [(await threads.run(thread))[1] for thread in (old, new)] == ["2", "2"]

    await threads.change("POST", f"{PATH}/rollback")
    assert [(await threads.run(thread))[1] for thread in (old, new, None)] == ["1", "1", "1"]

    await threads.change("DELETE", PATH)
    assert (await threads.run(old))[1] == "1"


async def test_an_operator_moves_one_thread_by_naming_a_version(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    threads = Threads(desk, worker, eventually)
    thread, _ = await threads.run()
    body = {"assistant_id": "desk", "input": {}, "metadata": {"slipway_version": "3"}}
    values = await desk.send("POST", f"/threads/{thread}/runs/wait", json=body)
    assert values["version"] == "3"
    await desk.send("POST", f"/threads/{thread}/runs/wait", 403, user="cleo", json=body)
