"""The reviews of a thread that moves, and moves that come too late."""

from __future__ import annotations

from dataclasses import replace

from slipway.commands.threads import Selection, move_all
from slipway.graph_versions.pin import Pin
from slipway.graphs.verdict import Verdict, VerdictKind
from slipway.reviews.actor import Actor
from slipway.reviews.record import Review
from slipway.runs.record import Phase
from slipway.thread_moves.many import MovedThread
from slipway.thread_moves.reads import MoveReads
from slipway.thread_moves.record import MovePlan
from slipway.thread_moves.scripts import MovedFields, MoveResult, ThreadMove
from tests.thread_moves.deployment import PROJECT, Deployment

BOB = Actor("bob")


async def moved_with_review(deployment: Deployment) -> tuple[str, str, Review]:
    """A migrated thread, its question, and its review, which somebody has claimed and commented on before."""
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
    reviews = deployment.services.reviews
    (run,) = await deployment.sdk.runs.list(thread)
    (review,) = await reviews.of_run(run["run_id"])
    await reviews.claim(review.review_id, BOB)
    before = await reviews.comment(review.review_id, BOB, "looks right")
    history = await reviews.history(before)

    settings = deployment.settings.model_copy(update={"config": PROJECT / "new.json"})
    found: list[MovedThread] = []
    await move_all(settings, Selection("desk", "2", thread_ids=[thread]), "ann", False, found.append)
    assert [each.outcome for each in found] == ["moved"]
    after = await reviews.get(review.review_id)
    assert after == before
    assert (after.state, after.assignee, after.due_us is None) == ("claimed", "bob", False)
    own = [entry for entry in await reviews.history(after) if entry.action != "thread.moved"]
    assert own == history
    return thread, question, after


async def test_a_review_is_decided_after_its_thread_was_migrated(deployment: Deployment) -> None:
    thread, _, review = await moved_with_review(deployment)
    async with deployment.worker("new"):
        await deployment.services.reviews.decide(review.review_id, BOB, {"kind": "answer", "value": "yes"})

        async def is_idle() -> bool:
            return bool((await deployment.sdk.threads.get(thread))["status"] == "idle")

        await deployment.eventually(is_idle)
    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 Lovelace"]


async def test_the_old_id_of_a_question_closes_its_review_after_a_migration(deployment: Deployment) -> None:
    thread, question, review = await moved_with_review(deployment)
    async with deployment.worker("new"):
        await deployment.ended(await deployment.answer(thread, question), Phase.COMPLETED)
    assert await deployment.log_of(thread) == ["draft 1", "review 2: yes", "send 2 Lovelace"]
    assert (await deployment.services.reviews.get(review.review_id)).state not in ("open", "claimed")


async def test_a_move_by_hand_changes_nothing_once_its_thread_has_changed(deployment: Deployment) -> None:
    async with deployment.worker("old"):
        thread, question = await deployment.asked("Ada Lovelace")
    services = deployment.services
    idle = await MoveReads(services.pipeline, services.keys).idle_thread(thread, "desk")
    assert idle is not None
    plan, new = MovePlan(Verdict(VerdictKind.CONTINUE)), Pin("2", "")

    moved_meanwhile = replace(idle, expected={**idle.expected, "version": "0"}, pin=Pin("0"))
    assert await services.mover.move_idle(moved_meanwhile, new, plan, by="ann") is MoveResult.CHANGED
    await services.pipeline.send("HSET", services.keys.thread(thread), "original", "moved and back")
    assert await services.mover.move_idle(idle, new, plan, by="ann") is MoveResult.CHANGED
    await services.pipeline.send("HDEL", services.keys.thread(thread), "original")
    created_again = replace(idle, incarnation="1")
    assert await services.mover.move_idle(created_again, new, plan, by="ann") is MoveResult.DELETED
    await services.pipeline.send("HSET", services.keys.thread(thread), "active_run_id", "r")
    assert await services.mover.move_idle(idle, new, plan, by="ann") is MoveResult.BUSY
    await services.pipeline.send("HDEL", services.keys.thread(thread), "active_run_id")
    asked_meanwhile = MovedFields(questions_before=b"{}", questions=b"{}")
    arguments: ThreadMove = {
        "thread_id": thread,
        "graph_id": "desk",
        "incarnation": idle.incarnation,
        "version": "2",
        "schema": "",
        "move": "{}",
        "expected": {},
    }
    assert await services.mover.scripts.move(arguments, asked_meanwhile, ()) is MoveResult.CHANGED
    assert (await services.threads.get(thread)).version == "1"

    async with deployment.worker("new"):
        await deployment.ended(await deployment.answer(thread, question), Phase.COMPLETED)
    moves = (await MoveReads(services.pipeline, services.keys).moves(thread, "desk")).moves
    assert await services.mover.move_idle(idle, new, plan, by="ann") is MoveResult.CHANGED
    assert (await MoveReads(services.pipeline, services.keys).moves(thread, "desk")).moves == moves
