"""The graph of the outreach."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send
from pydantic import Field
from typing_extensions import TypedDict

import slipway.tools
from examples.outreach.mails import Mail, Recipient, draft, segments_of
from examples.outreach.tools import Receipt
from slipway.errors import ToolRejected


class Input(TypedDict):
    """What to write about, and to whom."""

    topic: Annotated[str, Field(description="What the mail is about", examples=["Our workshop opens on Saturday"])]
    recipients: Annotated[
        list[Recipient], Field(description="The list; the recipients of each segment get a mail of their own")
    ]


class Result(TypedDict):
    """What became of one mail."""

    segment: str
    status: Literal["sent", "rejected"]
    receipt: Receipt | None
    why: str
    """The message of whoever rejected the mail; empty if it was sent."""


class Output(TypedDict):
    """The result of each mail, and a sentence."""

    results: Annotated[list[Result], operator.add]
    report: str


class State(Input, Output):
    """Input, output and drafts."""

    mails: list[Mail]


async def write_drafts(state: State) -> dict[str, Any]:
    """Drafts one mail for each segment."""
    topic = state.get("topic")
    if not isinstance(topic, str) or not topic.strip():
        raise ValueError("topic: a few words are required, such as 'Our workshop opens on Saturday'")
    segments = segments_of(state.get("recipients"))
    return {"mails": [draft(topic.strip(), segment, addresses) for segment, addresses in segments.items()]}


def to_each_segment(state: State) -> list[Send]:
    """One task for each mail, so that people can decide about each."""
    return [Send("send", mail) for mail in state["mails"]]


async def send(state: Mail) -> dict[str, Any]:
    """Sends one mail when it is approved."""
    to, subject, body = state["to"], state["subject"], state["body"]
    try:
        receipt: Receipt = await slipway.tools.call("send_mail", to=to, subject=subject, body=body)
    except ToolRejected as rejected:
        return {"results": [_result(state, None, rejected.reason or "no reason was given")]}
    return {"results": [_result(state, receipt, "")]}


def _result(mail: Mail, receipt: Receipt | None, why: str) -> Result:
    status: Literal["sent", "rejected"] = "rejected" if receipt is None else "sent"
    return {"segment": mail["segment"], "status": status, "receipt": receipt, "why": why}


async def report(state: State) -> dict[str, Any]:
    """Says how many mails were sent."""
    sent = [result["receipt"] for result in state["results"] if result["receipt"] is not None]
    recipients = sum(receipt["recipients"] for receipt in sent)
    text = f"{len(sent)} of {len(state['results'])} mails were sent, to {recipients} recipients."
    rejected = [f" {each['segment']}: {each['why']}." for each in state["results"] if each["status"] == "rejected"]
    return {"report": text + "".join(rejected)}


def build() -> CompiledStateGraph[State, Any, Input, Output]:
    """The compiled graph. The server adds its checkpointer."""
    builder = StateGraph(State, input_schema=Input, output_schema=Output)
    builder.add_node("draft", write_drafts)
    builder.add_node("send", send, input_schema=Mail)
    builder.add_node("report", report)
    builder.add_edge(START, "draft")
    builder.add_conditional_edges("draft", to_each_segment, ["send"])
    builder.add_edge("send", "report")
    builder.add_edge("report", END)
    return builder.compile(name="outreach")


graph = build()
