"""Calls of tools that a thread has made before it moves."""

from __future__ import annotations

from pathlib import Path

from slipway.runs.record import Phase
from tests.thread_moves.deployment import Deployment


async def test_a_tool_is_not_called_again_by_the_renamed_node_of_a_factory(
    deployment: Deployment, tmp_path: Path
) -> None:
    paid = tmp_path / "paid"
    async with deployment.worker("old"):
        thread = str((await deployment.old.threads.create())["thread_id"])
        run = await deployment.old.runs.create(thread, "pays", input={"log": [str(paid)]})
        await deployment.ended(run["run_id"], Phase.WAITING_FOR_APPROVAL)
    assert paid.read_text() == "paid "
    ((question,),) = (await deployment.sdk.threads.get(thread))["interrupts"].values()
    async with deployment.worker("new"):
        created = await deployment.sdk.runs.create(thread, "pays", command={"resume": {question["id"]: "yes"}})
        run = await deployment.ended(created["run_id"], Phase.COMPLETED)

    assert run.version == "2"
    assert await deployment.log_of(thread) == ["receipt 2: yes"]
    assert paid.read_text() == "paid "
