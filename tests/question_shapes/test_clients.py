"""Each shape of a question through `langgraph_sdk`: what the client receives, and what it sends to answer."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from slipway.reviews.answers import Decision, resume_value
from slipway.reviews.questions import DecisionKind, Question, question_of
from tests.question_shapes.conftest import Client, new_thread

APPROVE, EDIT, REJECT, RESPOND, IGNORE, ANSWER = DecisionKind
CHANGED = {"order_id": "A-1", "amount": 5.0}

pytestmark = pytest.mark.usefixtures("worker")


async def _asked(sdk: Client, thread: str, graph: str) -> dict[str, Question]:
    """Starts a run that asks, and returns its questions by interrupt id."""
    graph_input = {"topic": "x"} if graph in ("inbox", "free") else {"messages": [{"role": "user", "content": "go"}]}
    waited = await sdk.runs.wait(thread, graph, input=graph_input)
    interrupts = waited["__interrupt__"]
    stored = (await sdk.threads.get(thread))["interrupts"].values()
    assert {each["id"] for task in stored for each in task} == {each["id"] for each in interrupts}
    return {each["id"]: question_of(each["value"], each.get("response_schema")) for each in interrupts}


async def _answer(sdk: Client, thread: str, graph: str, resume: Any) -> dict[str, Any]:
    answered: dict[str, Any] = await sdk.runs.wait(thread, graph, command={"resume": resume})
    return answered


async def test_batched_actions_are_answered_by_position(sdk: Client) -> None:
    thread = await new_thread(sdk)
    (question,) = (await _asked(sdk, thread, "batched")).values()
    assert [action.name for action in question.actions] == ["refund", "mail"]
    resume = resume_value(question, [Decision(EDIT, args=CHANGED), Decision(REJECT, message="no mail")])
    answered = await _answer(sdk, thread, "batched", resume)
    text = answered["messages"][-1]["content"]
    assert "refunded 5.0 for A-1" in text
    assert "no mail" in text


async def test_calls_are_answered_by_the_ids_of_their_interrupts(sdk: Client) -> None:
    thread = await new_thread(sdk)
    questions = await _asked(sdk, thread, "per_call")
    names = {question.actions[0].name: interrupt_id for interrupt_id, question in questions.items()}
    resume = {
        names["refund"]: resume_value(questions[names["refund"]], [Decision(RESPOND, message="done by hand")]),
        names["mail"]: resume_value(questions[names["mail"]], [Decision(APPROVE)]),
    }
    text = (await _answer(sdk, thread, "per_call", resume))["messages"][-1]["content"]
    assert text == "done by hand | mailed ann@example.org: Your refund is on its way."


@pytest.mark.parametrize(
    ("decision", "answer"),
    [
        (Decision(APPROVE), {"type": "accept", "args": None}),
        (Decision(EDIT, args=CHANGED), {"type": "edit", "args": {"action": "refund", "args": CHANGED}}),
        (Decision(RESPOND, message="later"), {"type": "response", "args": "later"}),
        (Decision(IGNORE), {"type": "ignore", "args": None}),
    ],
)
async def test_an_inbox_question_gets_its_response(sdk: Client, decision: Decision, answer: dict[str, Any]) -> None:
    thread = await new_thread(sdk)
    (question,) = (await _asked(sdk, thread, "inbox")).values()
    assert (await _answer(sdk, thread, "inbox", resume_value(question, [decision])))["answer"] == answer


async def test_a_free_question_gets_any_answer_that_its_schema_allows(sdk: Client) -> None:
    thread = await new_thread(sdk)
    ((interrupt_id, question),) = (await _asked(sdk, thread, "free")).items()
    assert question.response_schema is not None
    assert (await _answer(sdk, thread, "free", {interrupt_id: {"amount": 3.5}}))["answer"] == {"amount": 3.5}


INVALID = [
    ("batched", lambda _: {"decisions": [{"type": "approve"}]}, "command.resume.decisions"),
    ("batched", lambda _: {"decisions": [{"type": "approve"}, {"type": "edit"}]}, "command.resume.decisions[1].type"),
    ("per_call", lambda ids: {ids["refund"]: {"type": "approve"}, ids["mail"]: {"type": "edit"}}, "{mail}.type"),
    ("inbox", lambda _: {"type": "accept"}, "command.resume"),
    ("inbox", lambda _: [{"type": "reject"}], "command.resume[0].type"),
    ("free", lambda _: {"amount": "much"}, "command.resume.amount"),
]


@pytest.mark.parametrize(("graph", "resume", "field"), INVALID, ids=lambda part: part if isinstance(part, str) else "")
async def test_an_invalid_answer_names_its_field_and_the_question_stays_open(
    sdk: Client, graph: str, resume: Any, field: str
) -> None:
    thread = await new_thread(sdk)
    questions = await _asked(sdk, thread, graph)
    names = {question.actions[0].name if question.actions else "": each for each, question in questions.items()}
    with pytest.raises(UnprocessableEntityError) as raised:
        await sdk.runs.create(thread, graph, command={"resume": resume(names)})
    body: Any = raised.value.body
    assert body["field"] == field.format(**{name: f"command.resume.{each}" for name, each in names.items()})
    assert (await sdk.threads.get(thread))["status"] == "interrupted"
