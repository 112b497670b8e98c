"""The order of events on one WebSocket with several subscriptions that start at any time."""

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
from tests.events.conftest import ALL_CHANNELS, is_completed, read_until
from tests.events.test_socket import next_frame, open_socket
from tests.http.conftest import Served

pytestmark = pytest.mark.usefixtures("worker")

ROUNDS: Final = 200
CONCURRENT_ROUNDS: Final = 8
GRAPHS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("talk", {"messages": [{"type": "human", "content": "hello"}]}),
    ("pair", {"messages": [{"type": "human", "content": "hello"}]}),
    ("steps", {"until": 2}),
)
CHANNELS: Final = (["values", "lifecycle"], ["messages", "tasks"], ["custom", "updates"], ALL_CHANNELS)

Event = dict[str, Any]


@dataclass
class Received:
    """The replay of a subscription, and the index in `Conversation.live` from which its live events start."""

    event_filter: EventFilter
    replay: list[Event]
    live_from: int


@dataclass
class Conversation:
    """The frames that a socket received. `live` has the events that are not part of a replay."""

    live: list[Event] = field(default_factory=list)
    subscriptions: list[Received] = field(default_factory=list)
    before_start: list[Event] = field(default_factory=list)

    def events_for(self, subscription: Received) -> list[Event]:
        live = self.live[subscription.live_from :]
        return subscription.replay + [event for event in live if matches(subscription.event_filter, event)]


def matches(event_filter: EventFilter, event: Event) -> bool:
    params, event_id = event["params"], event["event_id"]
    namespace = tuple(params["namespace"])
    return event_filter.matches(ProtocolEvent(event["seq"], event_id, event["method"], namespace, 0, params["data"]))


def numbers(events: list[Event]) -> list[int]:
    return [event["seq"] for event in events]


async def converse(socket: ClientConnection, rng: random.Random) -> Conversation:
    """Start one run with subscriptions before and after it, and receive until the last subscription has its end."""
    graph, graph_input = rng.choice(GRAPHS)
    channel_lists = [*rng.sample(CHANNELS, 3), ["lifecycle"]]
    commands: list[tuple[str, dict[str, Any]]] = [
        ("subscription.subscribe", {"channels": channels}) for channels in channel_lists
    ]
    commands.insert(rng.randrange(3), ("run.start", {"assistant_id": graph, "input": graph_input}))

    async def send() -> None:
        for command_id, (method, params) in enumerate(commands):
            await socket.send(orjson.dumps({"id": command_id, "method": method, "params": params}).decode())
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.01, 0.03)))  # commands arrive at any moment of the run

    sending, conversation = asyncio.create_task(send()), Conversation()
    while True:
        subscriptions = conversation.subscriptions
        if len(subscriptions) == len(channel_lists) and any(
            map(is_completed, conversation.events_for(subscriptions[-1]))
        ):
            break
        frame = await next_frame(socket)
        if frame["type"] == "event":
            conversation.live.append(frame)
        elif commands[frame["id"]][0] == "run.start":
            conversation.before_start = list(conversation.live)
        else:
            start = len(conversation.live) - frame["result"]["replayed_events"]
            replay, conversation.live = conversation.live[start:], conversation.live[:start]
            event_filter = EventFilter.from_request(commands[frame["id"]][1]["channels"])
            subscriptions.append(Received(event_filter, replay, start))
    await sending
    return conversation


@pytest.mark.slow
async def test_each_subscription_receives_its_events_once_and_in_order(
    served: Served, client: httpx.AsyncClient
) -> None:
    """The replay of a subscription precedes its response. All other events are sent once, in order, and after the
    response to the command that started their run. So each subscription receives all its events in order."""
    rounds = asyncio.Semaphore(CONCURRENT_ROUNDS)

    async def play_round(seed: int) -> None:
        async with rounds:
            thread = str(uuid4())
            async with open_socket(served, thread) as socket:
                conversation = await converse(socket, random.Random(seed))
            complete = await read_until(client, thread, is_completed)
        assert conversation.before_start == [], seed
        assert numbers(conversation.live) == sorted(set(numbers(conversation.live))), seed
        for subscription in conversation.subscriptions:
            assert conversation.events_for(subscription) == [
                event for event in complete if matches(subscription.event_filter, event)
            ]

    await asyncio.gather(*(play_round(seed) for seed in range(ROUNDS)))
