"""The outreach: one mail for each segment, each sent when people agree, two of them above 50 recipients."""

from __future__ import annotations

from typing import Any

import pytest

from examples.outreach.mails import draft, segments_of
from examples.outreach.tools import NAMESPACE, approval_policy
from tests.graphs.conftest import Cases

TOPIC = "Our workshop opens on Saturday"


def recipients(count: int, segment: str = "") -> list[dict[str, str]]:
    return [{"email": f"{segment or 'p'}{number}@example.org", "segment": segment} for number in range(count)]


async def outbox(cases: Cases) -> list[str]:
    """The subjects of all sent mails."""
    return sorted([item.value["subject"] for item in await cases.services.store.asearch(NAMESPACE)])


async def test_each_mail_is_sent_when_all_are_decided(cases: Cases) -> None:
    thread = await cases.new()
    graph_input = {"topic": TOPIC, "recipients": recipients(2, "makers") + recipients(3, "schools")}
    out = await cases.wait("outreach", graph_input, thread)
    assert len(out["__interrupt__"]) == 2
    first, second = await cases.reviews(thread)
    assert (await cases.decide(first, kind="approve")).json()["state"] == "held"
    assert await outbox(cases) == []
    await cases.decide(second, kind="reject", message="Not to them")
    values = await cases.values(thread)
    status = {each["segment"]: (each["status"], each["why"]) for each in values["results"]}
    rejected, sent = (review["question"]["actions"][0]["args"]["subject"] for review in (second, first))
    assert await outbox(cases) == [sent]
    assert sorted(status.values()) == [("rejected", "Not to them"), ("sent", "")]
    assert rejected not in await outbox(cases)
    assert "1 of 2 mails were sent" in values["report"]


async def test_an_edited_mail_is_sent_as_it_was_edited(cases: Cases) -> None:
    thread = await cases.new()
    await cases.wait("outreach", {"topic": TOPIC, "recipients": recipients(1)}, thread)
    (review,) = await cases.reviews(thread)
    args = review["question"]["actions"][0]["args"] | {"subject": "We open"}
    assert (await cases.decide(review, kind="edit", args=args)).status_code == 200
    await cases.values(thread)
    assert await outbox(cases) == ["We open"]


async def test_a_mail_to_many_needs_two_people(cases: Cases) -> None:
    """Without an auth file nobody can be told apart, so nobody can approve it."""
    thread = await cases.new()
    await cases.wait("outreach", {"topic": TOPIC, "recipients": recipients(51)}, thread)
    (review,) = await cases.reviews(thread)
    assert review["policy"]["quorum"] == 2
    refused = await cases.decide(review, kind="approve")
    assert refused.status_code == 403
    assert await outbox(cases) == []


@pytest.mark.parametrize(("count", "policy"), [(1, "one_person"), (50, "one_person"), (51, "two_people")])
def test_the_policy_depends_on_the_number_of_recipients(count: int, policy: str) -> None:
    assert approval_policy({"to": ["a@example.org"] * count}) == policy


def test_an_address_gets_one_mail_of_a_segment() -> None:
    repeated = [{"email": "Ann@example.org"}, {"email": "ann@example.org"}, {"email": "bob@example.org"}]
    assert segments_of(repeated) == {"everybody": ["ann@example.org", "bob@example.org"]}
    assert draft(TOPIC, "schools", ["a@b"])["subject"] == f"{TOPIC} (schools)"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (None, "recipients:"),
        ([], "recipients:"),
        ([{}], "recipients[0].email:"),
        ([{"email": "a b@c"}], "recipients[0].email:"),
        ([{"email": "a@b"}, "x"], "recipients[1].email:"),
    ],
)
def test_the_error_of_an_invalid_list_names_the_field(given: Any, field: str) -> None:
    with pytest.raises(ValueError, match=field.replace("[", r"\[")):
        segments_of(given)
