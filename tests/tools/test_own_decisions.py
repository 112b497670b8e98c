"""Each call of a task gets the decision about itself, in whatever order the calls begin after each answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.reviews.conftest import let_time_come
from tests.tools.test_approval import APPROVE, Approvals, approvals, graphs, project, settings

__all__ = ["approvals", "graphs", "project", "settings"]

REJECT: Final = {"kind": "reject", "message": "no"}
EDIT: Final = {"kind": "edit", "args": {"order": "other", "amount": 7}}
KINDS: Final = {"approve": APPROVE, "reject": REJECT, "edit": EDIT}
VALUES: Final[Mapping[str, Any]] = {
    "approve": {"type": "approve"},
    "reject": {"type": "reject", "message": "no"},
    "edit": {"type": "edit", "edited_action": {"name": "refund", "args": EDIT["args"]}},
}
ANSWERS: Final = {"approve": "refunded {}: 1.0", "edit": "refunded other: 7.0"}


@dataclass(frozen=True, slots=True)
class Reviewers:
    """They decide on the desk, by the ordinary protocol, and there with and without the id of the question."""

    approvals: Approvals
    random: Random

    async def decide(self, thread: str, review: dict[str, Any], kind: str) -> None:
        """Returns when the run with the decision has ended."""
        if self.random.random() < 0.5:
            run = (await self.approvals.desk.decide(review, KINDS[kind]))["resumed_by"]
            await self.approvals.desk.client.get(f"/threads/{thread}/runs/{run}/join")
        else:
            await self.answer(thread, review, VALUES[kind])

    async def answer(self, thread: str, review: dict[str, Any], value: Any) -> None:
        named = {review["interrupt_id"]: value} if self.random.random() < 0.5 else value
        body = {"assistant_id": "shuffled", "command": {"resume": named}}
        await self.approvals.desk.post(f"/threads/{thread}/runs/wait", body)


async def test_each_call_gets_its_own_decision(approvals: Approvals) -> None:
    """Beside a tool that asks a person itself."""
    random = Random(7)
    reviewers = Reviewers(approvals, random)
    for _ in range(3):
        kinds = {f"order {number}": random.choice(list(KINDS)) for number in range(5)}
        calls = [("refund", {"order": order}) for order in kinds]
        thread, reviews = await approvals.ask("shuffled", *calls, ("survey", {"question": "whose?"}))
        for _ in (*calls, "survey"):
            (review,) = [each for each in reviews if each["state"] == "open"]
            if review["question"]["shape"] == "free":
                await reviewers.answer(thread, review, "mine")
            else:
                await reviewers.decide(thread, review, kinds[review["question"]["actions"][0]["args"]["order"]])
            reviews = await approvals.desk.reviews(thread)
        *answers, surveyed = await approvals.desk.answers(thread)
        assert surveyed == "surveyed mine"
        for answer, (order, kind) in zip(answers, kinds.items(), strict=True):
            assert answer.startswith("ToolRejected") if kind == "reject" else answer == ANSWERS[kind].format(order)
        acted = sorted(str(effect) for effect in approvals.effects(thread) if effect[0] == "refund")
        edited = [str(("refund", "other", 7.0))] * list(kinds.values()).count("edit")
        assert acted == sorted([*edited, *(str(("refund", o, 1.0)) for o, kind in kinds.items() if kind == "approve")])


async def test_a_plain_answer_about_a_call_is_not_that_to_a_later_question_of_the_node(approvals: Approvals) -> None:
    thread, _ = await approvals.ask("questions", ("refund", {"order": "a"}))
    for answer in ("1", {"type": "approve"}, "2"):
        body = {"assistant_id": "questions", "command": {"resume": answer}}
        await approvals.desk.post(f"/threads/{thread}/runs/wait", body)
    assert await approvals.desk.answers(thread) == ["1", "refunded a: 1.0", "2"]


async def test_a_client_that_knows_only_lists_of_actions_decides_about_a_call(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    value = review["interrupt"]["value"]
    (request,), (config,) = value["action_requests"], value["review_configs"]
    assert (request["name"], request["args"]) == ("refund", {"order": "a", "amount": 1.0})
    assert config == {"action_name": "refund", "allowed_decisions": ["approve", "edit", "reject"]}
    edited = {"type": "edit", "edited_action": {"name": "refund", "args": {"order": "3", "amount": "2"}}}
    for wrong, field in (
        ([], "command.resume.decisions"),
        ([edited, edited], "command.resume.decisions"),
        ([{"type": "respond", "message": "x"}], "command.resume.decisions[0].type"),
    ):
        error = await approvals.desk.answer(thread, "sequence", {"decisions": wrong}, status=422)
        assert error["field"] == field
    await approvals.desk.answer(thread, "sequence", {"decisions": [edited]})
    assert await approvals.desk.answers(thread) == ["refunded 3: 2.0"], "the texts of its fields have their types"


async def test_what_a_tool_asked_itself_is_not_the_answer_to_a_later_question(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("questions", ("survey", {"question": "whose?"}))
    desk = approvals.desk
    for answer in ("1", "mine", "2"):
        await desk.decide(review, {"kind": "answer", "value": answer})
        if answer != "2":
            review = await approvals.next_review(thread, review)
    assert await desk.answers(thread) == ["1", "surveyed mine", "2"]
    assert approvals.effects(thread) == [("survey", "mine")]


async def test_a_default_approval_is_enough_for_a_call_that_was_edited_into_another_policy(
    approvals: Approvals,
) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    await approvals.desk.decide(review, {"kind": "edit", "name": "credit", "args": {"to": "x"}}, "bob")
    again = await approvals.next_review(thread, review)
    assert again["votes"] == [], "whoever edited it is in none of the groups"
    await let_time_come(approvals.desk, again, "due_us")
    assert await approvals.desk.answers(thread) == ["credited x"]
    assert approvals.effects(thread) == [("credit", "x")]


async def test_an_editor_who_may_approve_the_edited_call_is_enough(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    await approvals.desk.decide(review, {"kind": "edit", "name": "credit", "args": {"to": "x"}}, "bob finance")
    again = await approvals.next_review(thread, review)
    await approvals.desk.decide(again, APPROVE, "bob", 403)
    await approvals.desk.decide(again, APPROVE, "bob finance")
    assert await approvals.desk.answers(thread) == ["credited x"]


async def test_an_edit_that_restores_the_call_makes_it(approvals: Approvals) -> None:
    thread, (review,) = await approvals.ask("sequence", ("refund", {"order": "a"}))
    await approvals.desk.decide(review, {"kind": "edit", "name": "credit", "args": {"to": "x"}}, "bob")
    again = await approvals.next_review(thread, review)
    restored = {"kind": "edit", "name": "refund", "args": {"order": "a", "amount": 1.0}}
    await approvals.desk.decide(again, restored, "carl finance")
    assert await approvals.desk.answers(thread) == ["refunded a: 1.0"]
