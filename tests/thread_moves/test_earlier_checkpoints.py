"""Runs that start from an earlier checkpoint of their thread, which another version wrote."""

from __future__ import annotations

from typing import Any

from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.run_operations.operations import Operator
from slipway.runs.record import Phase
from tests.thread_moves.deployment import Deployment


async def completed_on_both(deployment: Deployment) -> tuple[str, list[str]]:
    """A thread that version 1 has begun and version 2 has completed, and the ids of its checkpoints of version 1."""
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
        early = sorted(await deployment.services.checkpointer.checkpoint_ids(thread, ""))
    async with deployment.worker("new"):
        await deployment.ended(await deployment.answer(thread, question), Phase.COMPLETED)
    return thread, early


async def forked(deployment: Deployment, thread: str, checkpoint_id: str, **options: Any) -> str:
    run = await deployment.sdk.runs.create(thread, "desk", checkpoint_id=checkpoint_id, **options)
    return str(run["run_id"])


async def test_an_earlier_checkpoint_is_migrated_like_the_newest(deployment: Deployment) -> None:
    thread, early = await completed_on_both(deployment)
    async with deployment.worker("new"):
        run = await deployment.ended(await forked(deployment, thread, early[-1]), Phase.WAITING_FOR_APPROVAL)
        record = await deployment.sdk.threads.get(thread)
        ((question,),) = record["interrupts"].values()
        assert question["value"] == {"question": "Ada"}
        assert record["values"] == {"first_name": "Ada", "last_name": "Lovelace", "log": ["draft 1"]}
        await deployment.ended(await deployment.answer(thread, question["id"], "no"), Phase.COMPLETED)

    assert await deployment.log_of(thread) == ["draft 1", "review 2: no", "send 2 Lovelace"]
    (entry,) = [each for each in await deployment.services.audit.read(run.run_id) if each.action == "thread.moved"]
    assert entry.details["verdict"] == "migrate"
    states = await deployment.sdk.threads.get_history(thread, limit=50)
    migrated = [each for each in states if OF_MOVE in each["metadata"]]
    assert [each["metadata"][OF_MOVE]["of"] for each in migrated] == [early[-1], early[-1]]


async def test_a_copy_knows_the_versions_of_its_checkpoints_from_the_runs_that_wrote_them(
    deployment: Deployment,
) -> None:
    thread, early = await completed_on_both(deployment)
    copied = str((await deployment.sdk.threads.copy(thread))["thread_id"])
    async with deployment.worker("new"):
        await deployment.ended(await forked(deployment, copied, early[-1]), Phase.WAITING_FOR_APPROVAL)

    assert (await deployment.sdk.threads.get(copied))["values"]["first_name"] == "Ada"


async def test_a_checkpoint_that_cannot_be_migrated_holds_the_run(deployment: Deployment) -> None:
    thread, early = await completed_on_both(deployment)
    checkpointer = deployment.services.checkpointer
    before = await checkpointer.checkpoint_ids(thread, "")
    async with deployment.worker("new"):  # the migration expects a name, which the first checkpoint has not
        run = await deployment.ended(await forked(deployment, thread, early[0]), Phase.PAUSED)
    assert run.reason is not None
    assert run.reason.startswith("migration 1 → 2 failed: KeyError: 'name'")
    assert run.reason.endswith(f"slipway runs resume {run.run_id} --version 1")
    assert await checkpointer.checkpoint_ids(thread, "") == before

    await deployment.services.run_operations.resume(run.run_id, Operator("ann"), "1")
    async with deployment.worker("old"):
        await deployment.ended(run.run_id, Phase.WAITING_FOR_APPROVAL)
    assert (await deployment.services.threads.get(thread)).version == "1"
    assert (await deployment.sdk.threads.get(thread))["values"] == {"name": "Ada Lovelace", "log": ["draft 1"]}


async def test_a_live_worker_of_its_version_continues_an_earlier_checkpoint(deployment: Deployment) -> None:
    thread, early = await completed_on_both(deployment)
    async with deployment.worker("old"), deployment.worker("new"):
        run = await deployment.ended(await forked(deployment, thread, early[0]), Phase.WAITING_FOR_APPROVAL)
    assert run.version == "1"


async def test_an_earlier_checkpoint_of_the_same_version_is_continued_as_it_is(deployment: Deployment) -> None:
    thread, early = await completed_on_both(deployment)
    checkpointer = deployment.services.checkpointer
    later = sorted(set(await checkpointer.checkpoint_ids(thread, "")) - set(early))
    async with deployment.worker("new"):
        run = await deployment.ended(await forked(deployment, thread, later[-2]), Phase.COMPLETED)
    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 Lovelace"]
    assert [each.action for each in await deployment.services.audit.read(run.run_id)].count("thread.moved") == 0


async def test_an_input_follows_an_earlier_checkpoint_of_another_version(deployment: Deployment) -> None:
    thread, early = await completed_on_both(deployment)
    async with deployment.worker("new"):
        run_id = await forked(deployment, thread, early[-1], input={"first_name": "Grace"})
        await deployment.ended(run_id, Phase.WAITING_FOR_APPROVAL)
    values = (await deployment.sdk.threads.get(thread))["values"]
    assert values == {"first_name": "Grace", "last_name": "Lovelace", "log": ["draft 1", "draft 2"]}
