"""The order of events on one WebSocket, however many subscriptions it has and whenever they come."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from slipway.event_protocol.event_filters import EventFilter
from slipway.event_protocol.protocol_event import ProtocolEvent
from tests.events.conftest import EVERY, completed, told
from tests.events.test_socket import heard, socket_of
from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")

ROUNDS: Final = 200
AT_ONCE: Final = 8
GRAPHS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("talk", {"messages": [{"type": "human", "content": "hello"}]}),
    ("pair", {"messages": [{"type": "human", "content": "hello"}]}),
    ("steps", {"until": 2}),
)
CHANNELS: Final = (["values", "lifecycle"], ["messages", "tasks"], ["custom", "updates"], EVERY)

Event = dict[str, Any]


@dataclass
class Received:
    """What a subscription got: its replay, and from where in `Conversation.live` on the other events are its own."""

    wanted: EventFilter
    replay: list[Event]
    installed_at: int


@dataclass
class Conversation:
    """What came on a socket. `live` are the events that are part of no replay."""

    live: list[Event] = field(default_factory=list)
    subscriptions: list[Received] = field(default_factory=list)
    before_start: list[Event] = field(default_factory=list)

    def of(self, subscription: Received) -> list[Event]:
        """All events that a subscription received."""
        own = self.live[subscription.installed_at :]
        return subscription.replay + [event for event in own if matches(subscription.wanted, event)]


def matches(wanted: EventFilter, event: Event) -> bool:
    """Whether a subscription is for an event."""
    params, ident = event["params"], event["event_id"]
    namespace = tuple(params["namespace"])
    return wanted.matches(ProtocolEvent(event["seq"], ident, event["method"], namespace, 0, params["data"]))


def numbers(events: list[Event]) -> list[int]:
    """Their `seq`."""
    return [event["seq"] for event in events]


async def converse(socket: ClientConnection, chance: random.Random) -> Conversation:
    """One run, with subscriptions before and after its start, until the last of them has received its end."""
    graph, given = chance.choice(GRAPHS)
    wishes = [*chance.sample(CHANNELS, 3), ["lifecycle"]]
    commands: list[tuple[str, dict[str, Any]]] = [
        ("subscription.subscribe", {"channels": channels}) for channels in wishes
    ]
    commands.insert(chance.randrange(3), ("run.start", {"assistant_id": graph, "input": given}))

    async def send() -> None:
        for ident, (method, params) in enumerate(commands):
            await socket.send(orjson.dumps({"id": ident, "method": method, "params": params}).decode())
            await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 0.03)))

    sending, conversation = asyncio.create_task(send()), Conversation()
    while True:
        subscriptions = conversation.subscriptions
        if len(subscriptions) == len(wishes) and any(map(completed, conversation.of(subscriptions[-1]))):
            break
        frame = await heard(socket)
        if frame["type"] == "event":
            conversation.live.append(frame)
        elif commands[frame["id"]][0] == "run.start":
            conversation.before_start = list(conversation.live)
        else:
            start = len(conversation.live) - frame["result"]["replayed_events"]
            replay, conversation.live = conversation.live[start:], conversation.live[:start]
            wanted = EventFilter.from_request(commands[frame["id"]][1]["channels"])
            subscriptions.append(Received(wanted, replay, start))
    await sending
    return conversation


@pytest.mark.slow
async def test_no_event_overtakes_another(served: Served, client: httpx.AsyncClient) -> None:
    """The replay of a subscription comes directly before its answer. All other events come once, in order, and after
    the answer to the command that started their run; so each subscription receives everything, in order."""
    rounds = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with rounds:
            thread = str(uuid4())
            async with socket_of(served, thread) as socket:
                conversation = await converse(socket, random.Random(seed))
            whole = await told(client, thread, completed)
        assert conversation.before_start == [], seed
        assert numbers(conversation.live) == sorted(set(numbers(conversation.live))), seed
        for subscription in conversation.subscriptions:
            assert conversation.of(subscription) == [event for event in whole if matches(subscription.wanted, event)]

    await asyncio.gather(*(one(seed) for seed in range(ROUNDS)))
