"""Followers receive every event once and in order in any sequence of appends, lost messages, disconnects, joins and
leaves."""

from __future__ import annotations

import asyncio
import uuid

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slipway.redis.keys import Keys
from slipway.runs.events import event_position
from tests.proxy import Proxy, proxied
from tests.runs.conftest import Stores, opened
from tests.runs.log_followers import Follower, NumberWriter, start_writer
from tests.waiting import event_loop_iterations

Step = tuple[str, int]
"""A step and its number: how many events to append, the event after which a follower joins, or 1 (on) and 0 (off)."""

STEPS = st.one_of(
    st.integers(1, 4).map(lambda count: ("write", count)),
    st.integers(1, 4).map(lambda count: ("append", count)),
    st.sampled_from([("lose", 1), ("lose", 0), ("cut", 0), ("refuse", 1), ("refuse", 0), ("leave", 0), ("yield", 0)]),
    st.integers(0, 12).map(lambda position: ("join", position)),
)

LEAVE_BEFORE_SUBSCRIPTION = [
    *[("refuse", 1), ("cut", 0), ("yield", 0)],
    *[("join", 0), ("yield", 0), ("yield", 0), ("leave", 0)],
]
"""One of two followers leaves while both wait for their subscription."""


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=30))
@example(steps=LEAVE_BEFORE_SUBSCRIPTION)
def test_every_follower_receives_every_event_once_in_order(valkey_url: str, steps: list[Step]) -> None:
    asyncio.run(_execute(valkey_url, steps))


async def _execute(url: str, steps: list[Step]) -> None:
    keys = Keys(f"test-{uuid.uuid4().hex[:12]}")
    async with opened(url, keys) as local, proxied(url) as proxy, opened(url, keys, subscriber_url=proxy.url) as remote:
        writer = await start_writer(local)
        followers: list[tuple[Follower, str]] = [(Follower(remote.events, writer.run_id), "0")]
        for step in steps:
            await _execute_step(step, writer, followers, local, remote, proxy)
        proxy.rejecting, proxy.drops = False, None
        await writer.settle()
        log = await local.log_of(writer.run_id)
        for follower, after in followers:
            await follower.wait_until_end()
            assert follower.events == [event for event in log if event.position > event_position(after)]


async def _execute_step(
    step: Step,
    writer: NumberWriter,
    followers: list[tuple[Follower, str]],
    local: Stores,
    remote: Stores,
    proxy: Proxy,
) -> None:
    action, number = step
    if action == "write":
        await writer.write(number)
    elif action == "append":
        writer.append(number)
    elif action == "lose":
        proxy.drops = (lambda reply: bool(reply[0] == b"message")) if number else None
    elif action == "refuse":
        proxy.rejecting = bool(number)
    elif action == "cut":
        proxy.cut()
    elif action == "yield":
        await event_loop_iterations(1)
    elif action == "leave" and len(followers) > 1:
        await followers.pop()[0].disconnect()
    elif action == "join":
        log = await local.log_of(writer.run_id)
        after = log[number].id if number < len(log) else "0"
        followers.append((Follower(remote.events, writer.run_id, after), after))
