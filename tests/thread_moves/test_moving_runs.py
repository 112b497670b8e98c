"""Workers of a new release continue the threads of the old one: moved, held, and tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from slipway.commands.threads import Selection, move_all
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.health.index_checks import IndexChecks
from slipway.health.layout_upgrades import UPGRADES
from slipway.redis.layout import LayoutRecord
from slipway.redis.shards import Shards
from slipway.run_operations.operations import Operator
from slipway.runs.record import Phase, Run
from slipway.thread_moves.many import MovedThread
from tests.thread_moves.deployment import PROJECT, Deployment


async def test_a_waiting_thread_is_migrated_when_its_question_is_answered(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
    async with deployment.worker("new"):
        run_id = await deployment.answer(thread, question)
        run = await deployment.ended(run_id, Phase.COMPLETED)

    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 Lovelace"]
    assert run.version == "2"
    assert (run.usage["steps"], run.usage["node_visits"]) == (3, {"draft": 1, "review": 1, "send": 1})
    stored = await deployment.services.threads.get(thread)
    assert stored.version == "2"
    (entry,) = [each for each in await deployment.services.audit.read(run_id) if each.action == "thread.moved"]
    assert (entry.details["from"], entry.details["to"], entry.details["verdict"]) == ("1", "2", "migrate")


async def test_a_migration_that_fails_pauses_the_run_and_changes_nothing(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada")  # no space
        before = await deployment.services.checkpointer.latest(thread)
    async with deployment.worker("new"):
        run_id = await deployment.answer(thread, question)
        run = await deployment.ended(run_id, Phase.PAUSED)

    assert run.reason is not None
    assert run.reason.startswith("migration 1 → 2 failed: ValueError: not enough values to unpack")
    assert "migrations.py:10)" in run.reason
    assert run.held is not None
    assert run.held.reasons[0].code == "migration.failed"
    assert await deployment.services.checkpointer.latest(thread) == before
    assert (await deployment.services.threads.get(thread)).version == "1"

    await deployment.services.run_operations.resume(run_id, Operator("ann"), "1")
    async with deployment.worker("old"):
        run = await deployment.ended(run_id, Phase.COMPLETED)
    assert run.held is None
    assert await deployment.log_of(thread) == ["draft 1", "review 1: yes", "send 1"]


async def test_a_held_thread_stays_with_a_live_worker_of_its_version(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada")
        async with deployment.worker("new"):
            run_id = await deployment.answer(thread, question)
            run = await deployment.ended(run_id, Phase.COMPLETED)

    assert run.version == "1"
    assert await deployment.log_of(thread) == ["draft 1", "review 1: yes", "send 1"]


async def test_a_held_run_is_tried_again_when_other_code_is_served(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada")
    async with deployment.worker("new"):
        run_id = await deployment.answer(thread, question)
        await deployment.ended(run_id, Phase.PAUSED)
    async with deployment.worker("fixed"):
        run = await deployment.ended(run_id, Phase.COMPLETED)

    assert run.held is None
    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 "]


async def test_a_run_whose_retries_are_used_up_pauses_and_continues_on_another_version(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread = str((await deployment.old.threads.create())["thread_id"])
        created = await deployment.old.runs.create(thread, "fragile", input={"log": []})
        run = await deployment.ended(created["run_id"], Phase.PAUSED)
    assert run.error is not None
    assert (run.error["code"], run.error["node"]) == ("node.failed", "second")
    assert run.reason == "the retries of node 'second' are used up: no connection"
    assert run.held is not None
    assert run.held.why == "exhausted"
    checks = IndexChecks(deployment.services.pipeline, deployment.services.keys, repair=False)
    assert await checks.records("run", [run.run_id]) == [], "it has not failed, although it has an error"
    await deployment.services.run_operations.resume(run.run_id, Operator("ann"), "2")
    async with deployment.worker("new"):
        run = await deployment.ended(run.run_id, Phase.COMPLETED)
    assert run.error is None
    assert run.version == "2"
    assert await deployment.log_of(thread) == ["first", "second"]


async def test_a_run_is_resumed_only_on_a_version_that_was_served(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, _ = await deployment.asked("Ada Lovelace")
    run = await deployment.sdk.runs.create(thread, "desk", input={"last_name": "Byron"})
    operations = deployment.services.run_operations
    with pytest.raises(Conflict, match="it is not paused, so pause it first"):
        await operations.resume(run["run_id"], Operator("ann"), "1")
    await operations.pause(run["run_id"], Operator("ann"))

    with pytest.raises(InvalidRequest, match="no process has ever served this version"):
        await operations.resume(run["run_id"], Operator("ann"), "3")
    assert (await deployment.services.runs.find(run["run_id"])).phase is Phase.PAUSED


async def test_a_run_is_retried_on_a_version_that_an_operator_names(deployment: Deployment) -> None:
    """The same verdict decides as for a run that is resumed."""
    repairs, ann = deployment.services.run_repairs, Operator("ann")
    cancelled: list[Run] = []
    async with deployment.worker("old"):
        for name in ("Ada Lovelace", "Ada", "Ada Byron"):  # the second name cannot be migrated
            thread, _ = await deployment.asked(name)
            (run,) = await deployment.sdk.runs.list(thread)
            await deployment.services.run_operations.cancel(run["run_id"], ann)
            cancelled.append(await deployment.ended(run["run_id"], Phase.CANCELLED))
    migrates, holds, stays = cancelled
    with pytest.raises(UnprocessableEntityError, match="graph 'desk' has no version '3'"):
        await deployment.sdk.http.post(f"/ops/runs/{migrates.run_id}/retry", json={"version": "3"})
    assert (await deployment.services.runs.find(migrates.run_id)).retried_by is None

    assert (await repairs.retry(stays.run_id, ann, version="1")).run.version == "1"
    async with deployment.worker("new"):
        retries = [(await repairs.retry(run.run_id, ann, version="2")).run.run_id for run in (migrates, holds)]
        moved_run = await deployment.ended(retries[0], Phase.WAITING_FOR_APPROVAL)
        held_run = await deployment.ended(retries[1], Phase.PAUSED)
    assert moved_run.version == "2"
    assert str(held_run.reason).startswith("migration 1 → 2 failed: ValueError")
    assert str(held_run.reason).endswith(f"slipway runs resume {held_run.run_id} --version 1")
    assert (await deployment.services.threads.get(holds.thread_id)).version == "1"
    assert not (await repairs.retry(migrates.run_id, ann, version="2")).changed
    with pytest.raises(Conflict, match=f"on version 1: run {moved_run.run_id} has retried it before"):
        await repairs.retry(migrates.run_id, ann, version="1")


async def moved(
    deployment: Deployment, release: str, to: str, thread: str | None = None, *, dry_run: bool = False
) -> list[MovedThread]:
    """What becomes of each thread when the command moves them."""
    settings = deployment.settings.model_copy(update={"config": PROJECT / f"{release}.json"})
    selection = Selection("desk", to, thread_ids=None if thread is None else [thread])
    found: list[MovedThread] = []
    await move_all(settings, selection, "ann", dry_run, found.append)
    return found


async def asking_tasks(client: Any, thread: str) -> dict[str, list[str]]:
    """The ids of the open questions of each task, by task id. Thread and state agree."""
    record, state = await client.threads.get(thread), await client.threads.get_state(thread)
    found = {task: [each["id"] for each in asked] for task, asked in record["interrupts"].items()}
    in_state = {each["id"]: [one["id"] for one in each["interrupts"]] for each in state["tasks"]}
    assert found == in_state
    return found


async def test_threads_are_moved_by_a_command_and_go_back(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
        stays, _ = await deployment.asked("Ada")

    before = await asking_tasks(deployment.old, thread)
    dry = await moved(deployment, "new", "2", dry_run=True)
    assert {each.thread_id: each.outcome for each in dry} == {thread: "migrate", stays: "hold"}
    assert {each.outcome for each in dry if each.sentence.startswith("migration 1 → 2, because node ")} == {"migrate"}
    assert (await deployment.services.threads.get(thread)).version == "1"

    assert [each.outcome for each in await moved(deployment, "new", "2", thread)] == ["moved"]
    record = await deployment.sdk.threads.get(thread)
    assert record["version"] == "2"
    assert record["values"] == {"first_name": "Ada", "last_name": "Lovelace", "log": ["draft 1"]}
    assert record["status"] == "interrupted"
    moved_task, asked = (await asking_tasks(deployment.sdk, thread)).popitem()
    assert asked == [question]
    assert moved_task not in before
    assert [each.outcome for each in await moved(deployment, "new", "2", thread)] == ["unchanged"]

    (kept,) = await moved(deployment, "changed", "1", thread)
    assert kept.outcome == "hold"
    assert "channel.type_changed" in {each.code for each in kept.reasons}

    (back,) = await moved(deployment, "both", "1", thread)
    assert (back.outcome, back.reasons[0].code) == ("moved", "original.restored")
    assert (await deployment.sdk.threads.get(thread))["values"] == {"name": "Ada Lovelace", "log": ["draft 1"]}
    assert list((await asking_tasks(deployment.old, thread)).values()) == [[question]]

    assert [each.outcome for each in await moved(deployment, "new", "2", thread)] == ["moved"]  # migrated again
    assert list((await asking_tasks(deployment.sdk, thread)).values()) == [[question]]
    async with deployment.worker("new"):
        await deployment.ended(await deployment.answer(thread, question), Phase.COMPLETED)
    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 Lovelace"]
    assert [each.outcome for each in await moved(deployment, "both", "1", thread)] == ["hold"]


async def test_a_thread_that_has_used_an_answer_since_its_migration_does_not_go_back(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, _ = await deployment.asked("Ada Lovelace")
    await moved(deployment, "new", "2")
    checkpointer = deployment.services.checkpointer
    head = await checkpointer.latest(thread)
    assert head is not None
    assert head.pending_writes
    task_id = head.pending_writes[0][0]
    await checkpointer.aput_writes(head.config, [("log", ["review 2: yes"])], task_id, "~__pregel_pull, human_review")

    (back,) = await moved(deployment, "both", "1")
    assert (back.outcome, back.reasons[0].code) == ("hold", "original.passed")


async def test_a_prune_keeps_the_original_while_the_thread_may_go_back(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
    await moved(deployment, "new", "2")
    copied = str((await deployment.sdk.threads.copy(thread))["thread_id"])
    checkpointer = deployment.services.checkpointer
    for each in (thread, copied):
        assert await checkpointer.prune_thread(each, (await deployment.services.threads.get(each)).incarnation)
        assert len(await checkpointer.checkpoint_ids(each, "")) == 2
        assert [done.outcome for done in await moved(deployment, "both", "1", each)] == ["moved"]

    assert await checkpointer.prune_thread(thread, (await deployment.services.threads.get(thread)).incarnation)
    async with deployment.worker("old"):
        await deployment.ended(await deployment.answer(thread, question, of_old=True), Phase.COMPLETED)
    assert await deployment.log_of(thread) == ["draft 1", "review 1: yes", "send 1"]
    assert await checkpointer.prune_thread(thread, (await deployment.services.threads.get(thread)).incarnation)
    assert len(await checkpointer.checkpoint_ids(thread, "")) == 1, "a thread that has continued needs no original"


@pytest.mark.parametrize("answered", [False, True])
async def test_the_retention_keeps_the_original_while_the_thread_may_go_back(
    deployment: Deployment, answered: bool
) -> None:
    checkpointer = deployment.services.checkpointer
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
        if answered:
            await deployment.ended(await deployment.answer(thread, question, of_old=True), Phase.COMPLETED)
    before = (await deployment.old.threads.get_state(thread))["values"]
    assert await checkpointer.retain(thread, 1)
    assert [each.outcome for each in await moved(deployment, "new", "2")] == ["moved"]
    assert await checkpointer.retain(thread, 1)
    assert (await deployment.sdk.threads.get_state(thread))["values"]["first_name"] == "Ada"

    (back,) = await moved(deployment, "both", "1")
    assert (back.outcome, back.reasons[0].code) == ("moved", "original.restored")
    assert await checkpointer.retain(thread, 1)
    assert (await deployment.old.threads.get_state(thread))["values"] == before


async def test_a_version_that_was_never_served_gets_no_threads(deployment: Deployment) -> None:
    with pytest.raises(NotFound, match="graph version 'desk@9' not found"):
        await moved(deployment, "new", "9")
    settings = deployment.settings.model_copy(update={"key_prefix": f"{deployment.settings.key_prefix}-other"})
    services = deployment.services
    await LayoutRecord(services.pipeline, Shards(settings.key_prefix)).check_or_upgrade(UPGRADES)
    other = replace(deployment, settings=settings)
    with pytest.raises(InvalidRequest, match="no process has ever served desk@2: deploy it first"):
        await moved(other, "new", "2")


async def test_a_run_that_waits_in_the_lane_of_a_version_follows_its_thread(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
    async with deployment.worker("new"):
        answer = {"resume": {question: "yes"}}
        created = await deployment.sdk.runs.create(thread, "desk", command=answer, headers={"x-slipway-version": "1"})

        async def waits() -> bool:
            return (await deployment.services.runs.find(created["run_id"])).reason == "no live worker serves desk@1"

        await deployment.eventually(waits)
        assert [each.outcome for each in await moved(deployment, "new", "2", thread)] == ["moved"]
        await deployment.ended(created["run_id"], Phase.COMPLETED)

    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 Lovelace"]
    assert (await deployment.services.versions.read()).lanes == [], "nobody has to serve version 1 for it"


async def test_a_held_run_continues_when_its_thread_is_moved(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada")
    async with deployment.worker("new"):
        run_id = await deployment.answer(thread, question)
        await deployment.ended(run_id, Phase.PAUSED)
    assert [each.outcome for each in await moved(deployment, "fixed", "2", thread)] == ["moved"]
    assert (await deployment.services.runs.find(run_id)).phase is Phase.QUEUED
    async with deployment.worker("fixed"):
        await deployment.ended(run_id, Phase.COMPLETED)

    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 "]


async def test_a_thread_is_migrated_while_some_of_its_tasks_have_finished(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread = str((await deployment.old.threads.create())["thread_id"])
        first = await deployment.old.runs.create(thread, "fan", input={})
        await deployment.ended(first["run_id"], Phase.WAITING_FOR_APPROVAL)
        questions = {
            each["value"]: each["id"] for (each,) in (await deployment.sdk.threads.get(thread))["interrupts"].values()
        }
        second = await deployment.old.runs.create(thread, "fan", command={"resume": {questions["a"]: "yes"}})
        await deployment.ended(second["run_id"], Phase.WAITING_FOR_APPROVAL)
    async with deployment.worker("new"):
        third = await deployment.sdk.runs.create(thread, "fan", command={"resume": {questions["b"]: "no"}})
        run = await deployment.ended(third["run_id"], Phase.COMPLETED)

    assert run.version == "2"
    assert run.usage["node_visits"]["quick"] == 1
    assert await deployment.log_of(thread) == ["a yes", "b no", "quick", "last"]
