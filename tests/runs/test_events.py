"""A follower receives every event of a run once and in order, also when messages or connections are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Any

import pytest

from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.shard_ids import run_id_on
from slipway.runs.event_log import READ_EVENTS
from slipway.runs.event_tail import TAIL_BYTES, TAIL_EVENTS, Tail
from slipway.runs.events import Event
from slipway.runs.log_polls import POLL_S
from slipway.runs.record import new_id
from slipway.runs.scripts import LogScripts
from slipway.sse_frames import encode_frame
from slipway.threads.notifications import ThreadNotifications
from tests.proxy import Proxy, proxied
from tests.runs.conftest import Stores, opened
from tests.runs.log_followers import Follower, NumberWriter, numbers_in, start_writer
from tests.waiting import Eventually, event_loop_iterations


@pytest.fixture
async def writer(stores: Stores) -> NumberWriter:
    """The writer of a run that a worker has just claimed."""
    return await start_writer(stores)


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[Proxy]:
    """The proxy between Redis and the subscriber of `remote`."""
    async with proxied(valkey_url) as proxy:
        yield proxy


@pytest.fixture
async def remote(valkey_url: str, keys: Keys, proxy: Proxy) -> AsyncIterator[Stores]:
    """Another process, whose subscriber connects through the proxy."""
    async with opened(valkey_url, keys, subscriber_url=proxy.url) as stores:
        yield stores


async def test_a_follower_of_an_ended_run_receives_its_whole_log(writer: NumberWriter, stores: Stores) -> None:
    await writer.write(3)
    await writer.settle()
    follower = await Follower(stores.events, writer.run_id).wait_until_end()
    assert [event.name for event in follower.events] == ["metadata", "values", "values", "values", "end"]
    assert follower.events == await stores.log_of(writer.run_id)


@pytest.mark.parametrize("position", range(5))
async def test_a_follower_can_continue_after_any_event(writer: NumberWriter, stores: Stores, position: int) -> None:
    await writer.write(3)
    if position == 4:
        await writer.settle()
    log = await stores.log_of(writer.run_id)
    follower = Follower(stores.events, writer.run_id, log[position].id)
    if position < 4:
        await writer.write(2)
        await writer.settle()
    await follower.wait_until_end()
    assert follower.events == (await stores.log_of(writer.run_id))[position + 1 :]


async def test_a_follower_from_the_end_receives_only_new_events(
    writer: NumberWriter, stores: Stores, eventually: Eventually
) -> None:
    await writer.write(3)
    follower = Follower(stores.events, writer.run_id, "$")
    await eventually(lambda: any(followed.tail.end for followed in stores.events.followed.values()))
    await writer.write(2)
    await writer.settle()
    assert (await follower.wait_until_end()).numbers == [4, 5]


async def test_events_that_are_appended_while_a_follower_starts_are_received_at_once(stores: Stores) -> None:
    for _ in range(30):
        writer = await start_writer(stores)
        await writer.write()
        last = (await stores.log_of(writer.run_id))[-1].id
        follower = Follower(stores.events, writer.run_id, last)
        for iteration in range(40):  # events are appended in different event loop iterations of the follower's start
            if iteration % 4 == 0:
                writer.append()
            await event_loop_iterations(1)
        await writer.attempt.flush()
        await writer.settle()
        await follower.wait_until_end()
        assert follower.numbers == list(range(2, writer.last_number + 1))


async def test_an_event_in_any_event_loop_iteration_of_a_followers_start_is_received(stores: Stores) -> None:
    for iterations in range(40):
        writer = await start_writer(stores)
        await writer.write()
        last = (await stores.log_of(writer.run_id))[-1].id
        follower = Follower(stores.events, writer.run_id, last)
        await event_loop_iterations(iterations)
        await writer.settle()
        await follower.wait_until_end()
        assert [event.name for event in follower.events] == ["end"]


async def test_all_followers_receive_a_burst_of_events(writer: NumberWriter, stores: Stores) -> None:
    followers = [Follower(stores.events, writer.run_id) for _ in range(100)]
    for _ in range(20):
        writer.append(50)
        await event_loop_iterations(1)
    await writer.settle()
    for follower in followers:
        await follower.wait_until_end()
        assert follower.numbers == list(range(1, 1001))
    assert stores.events.followed == {}


async def test_followers_of_a_run_send_no_commands_for_new_events(
    writer: NumberWriter, stores: Stores, eventually: Eventually
) -> None:
    followers = [Follower(stores.events, writer.run_id) for _ in range(100)]
    await eventually(lambda: all(follower.events for follower in followers))
    before = stores.pipeline.round_trips
    for _ in range(10):
        await writer.write()
    assert stores.pipeline.round_trips - before <= 10
    await writer.settle()
    for follower in followers:
        assert (await follower.wait_until_end()).numbers == list(range(1, 11))


async def test_a_follower_that_is_slower_than_the_tail_reads_the_log(writer: NumberWriter, stores: Stores) -> None:
    fast = Follower(stores.events, writer.run_id)
    batches = stores.events.follow(writer.run_id)
    slow_events = list(await anext(batches))
    for _ in range(5):
        await writer.write(TAIL_EVENTS // 2)
        await event_loop_iterations(1)
    await writer.settle()
    async for batch in batches:
        slow_events.extend(batch)
        await event_loop_iterations(1)
    fast_numbers = (await fast.wait_until_end()).numbers
    assert numbers_in(slow_events) == fast_numbers == list(range(1, 5 * TAIL_EVENTS // 2 + 1))


async def test_a_follower_misses_no_event_when_messages_are_lost(
    remote: Stores, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    writer = await start_writer(stores)
    follower = Follower(remote.events, writer.run_id)
    lost = iter([False, True, False, True, True, False, False, True] * 10)
    proxy.drops = lambda reply: reply[0] == b"message" and next(lost)
    await eventually(lambda: len(follower.events) == 1)
    for _ in range(20):
        await writer.write()
    proxy.drops = None
    await writer.settle()
    assert (await follower.wait_until_end()).numbers == list(range(1, 21))


@pytest.mark.parametrize("missed", [READ_EVENTS - 2, 2 * READ_EVENTS + 1])
async def test_one_poll_finds_all_missed_events(
    remote: Stores, proxy: Proxy, stores: Stores, eventually: Eventually, missed: int
) -> None:
    writer = await start_writer(stores)
    follower = Follower(remote.events, writer.run_id)
    await eventually(lambda: len(follower.events) == 1)
    proxy.drops = lambda reply: reply[0] == b"message"
    await writer.write(missed)
    await writer.settle()
    followed = remote.events.followed[writer.run_id]
    await remote.events.read_missed(writer.run_id, followed.tail)
    followed.tail.notify_followers()
    assert (await follower.wait_until_end()).numbers == list(range(1, missed + 1))


async def test_a_read_before_a_disconnect_does_not_set_the_end_of_the_log(writer: NumberWriter, stores: Stores) -> None:
    for disconnected in (False, True):
        tail = Tail("r")
        read = asyncio.create_task(stores.events.read_into_tail(writer.run_id, (0, 0), tail))
        await event_loop_iterations(1)  # the read has started
        if disconnected:
            tail.on_notification(None)
        (first,) = await read
        assert tail.end == (None if disconnected else first.position)


async def test_a_disconnect_during_a_poll_makes_the_tail_incomplete(writer: NumberWriter, stores: Stores) -> None:
    await writer.write(2)
    tail, log = Tail("r"), await stores.log_of(writer.run_id)
    tail.add((0, 0), log[:1])
    poll = asyncio.create_task(stores.events.read_missed(writer.run_id, tail))
    await event_loop_iterations(1)  # the read has started
    tail.on_notification(None)
    await poll
    assert tail.events_after(log[-1].position) is None, "events between the read and the disconnect may be missing"


async def test_a_follower_misses_no_event_when_the_subscriber_reconnects(
    remote: Stores, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    writer = await start_writer(stores)
    follower = Follower(remote.events, writer.run_id)
    await eventually(lambda: len(follower.events) == 1)
    for round_ in range(1, 6):
        proxy.rejecting = True
        proxy.cut()
        await writer.write(3)
        proxy.rejecting = False
        await eventually(lambda expected=3 * round_: len(follower.numbers) == expected)  # type: ignore[misc]
    proxy.cut()
    await writer.settle()
    assert (await follower.wait_until_end()).numbers == list(range(1, 16))


async def test_an_event_between_a_reconnect_and_the_reply_to_a_slow_read_is_not_lost(
    valkey_url: str, keys: Keys, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    async with proxied(valkey_url) as slow, opened(slow.url, keys, subscriber_url=proxy.url) as remote:
        writer = await start_writer(stores)
        await writer.write()
        follower = Follower(remote.events, writer.run_id)
        await eventually(lambda: len(follower.events) == 2)
        slow.hold_replies()
        proxy.cut()  # after the new subscription the follower reads the log; the proxy holds that reply
        accepted = proxy.accepted
        await eventually(lambda: slow.held_back_bytes > 0)
        proxy.rejecting = True
        proxy.cut()
        await writer.settle()
        proxy.rejecting = False
        await eventually(lambda: proxy.accepted > accepted + 1)
        await eventually(lambda: remote.subscriber.connected)
        slow.release_replies()
        await follower.wait_until_end()


async def test_a_follower_of_an_unknown_run_ends_at_once(stores: Stores) -> None:
    follower = await Follower(stores.events, new_id()).wait_until_end()
    assert follower.events == []


async def test_a_follower_receives_a_gap_event_for_trimmed_events(writer: NumberWriter, stores: Stores) -> None:
    await writer.write(5)
    log = await stores.log_of(writer.run_id)
    await stores.pipeline.send("XTRIM", stores.keys.events(writer.run_id), "MAXLEN", 2)
    follower = Follower(stores.events, writer.run_id, log[1].id)
    await writer.settle()
    await follower.wait_until_end()
    assert [event.name for event in follower.events] == ["gap", "values", "values", "end"]
    assert follower.numbers == [4, 5]


async def test_a_follower_of_an_expired_log_receives_a_gap_event(writer: NumberWriter, stores: Stores) -> None:
    await writer.write(2)
    last = (await stores.log_of(writer.run_id))[-1].id
    await stores.pipeline.send("DEL", stores.keys.events(writer.run_id))
    follower = await Follower(stores.events, writer.run_id, last).wait_until_end()
    assert [event.name for event in follower.events] == ["gap"]


async def test_a_follower_from_a_future_position_receives_the_end(
    writer: NumberWriter, stores: Stores, eventually: Eventually
) -> None:
    await writer.write(2)
    follower = Follower(stores.events, writer.run_id, "99999999999999-0")
    await eventually(lambda: any(followed.tail.end for followed in stores.events.followed.values()))
    await writer.settle()
    await follower.wait_until_end()
    assert follower.events[-1].name == "end"


async def test_disconnected_followers_leave_no_task_and_no_subscription(
    writer: NumberWriter, stores: Stores, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    def polling_tasks() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "poll event logs"]

    monkeypatch.setattr("slipway.runs.log_polls.POLL_S", 0.001)
    followers = [Follower(stores.events, writer.run_id) for _ in range(5)]
    await eventually(lambda: all(follower.events for follower in followers) and polling_tasks())
    for follower in followers:
        await follower.disconnect()
    assert stores.events.followed == {}
    await eventually(lambda: not polling_tasks())
    channel = stores.keys.run_notifications(writer.run_id)

    async def has_no_subscriber() -> bool:
        _, count = await stores.pipeline.send("PUBSUB", "NUMSUB", channel)
        return bool(count == 0)

    await eventually(has_no_subscriber)


async def test_a_follower_that_subscribed_before_the_run_existed_needs_no_read(
    stores: Stores, eventually: Eventually
) -> None:
    thread_id = await stores.create_thread()
    run_id = run_id_on(thread_id, new_id())
    with stores.events.subscribe_before_create(run_id):
        followed = stores.events.followed[run_id]
        await followed.wait_until_subscribed()
        await stores.create_run(thread_id, run_id=run_id)
        await eventually(lambda: followed.tail.end)  # the first event was received
        before = stores.pipeline.round_trips
        batch = await anext(stores.events.follow(run_id))
        assert [event.name for event in batch] == ["metadata"]
        assert stores.pipeline.round_trips == before


LARGE_FRAME = encode_frame("values", b'"%b"' % token_hex(80_000).encode())
"""Its stored form has more bytes than a notification may have."""


async def test_large_events_are_read_once_for_all_followers(
    writer: NumberWriter, stores: Stores, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, notified = list[str](), list[int]()
    page, on_notification = LogScripts.page, Tail.on_notification

    async def counted_page(self: LogScripts, run_id: str, *options: Any) -> Any:
        read.append(run_id)
        return await page(self, run_id, *options)

    def measured(self: Tail, message: bytes | None) -> None:
        notified.append(len(message or b""))
        on_notification(self, message)

    monkeypatch.setattr(Tail, "on_notification", measured)
    followers = [Follower(stores.events, writer.run_id) for _ in range(5)]
    await eventually(lambda: all(follower.events for follower in followers))
    await writer.write(2)
    monkeypatch.setattr(LogScripts, "page", counted_page)
    for events in ([LARGE_FRAME], [LARGE_FRAME, LARGE_FRAME], [b"event: a\r\n", LARGE_FRAME, b"event: b\r\n"]):
        for frame in events:
            writer.attempt.append("values" if frame is LARGE_FRAME else "small", frame)
        await writer.attempt.flush()
        await eventually(lambda: len({len(follower.events) for follower in followers}) == 1 and not _misses(stores))
    await writer.write()
    await writer.settle()
    names = ["metadata", "values", "values", *["values"] * 3, "small", "values", "small", "values", "end"]
    for follower in followers:
        assert [event.name for event in (await follower.wait_until_end()).events] == names
    assert len(read) <= 2 * 3, "each group of large events is read once, and once more if an event came meanwhile"
    assert max(notified) < 70_000


def _misses(stores: Stores) -> bool:
    return any(followed.tail.missed for followed in stores.events.followed.values())


async def test_an_event_that_comes_while_large_ones_are_read_is_not_lost(
    writer: NumberWriter, stores: Stores, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, page = Follower(stores.events, writer.run_id), LogScripts.page
    await eventually(lambda: len(follower.events) == 1)
    await writer.write()

    async def page_before_an_event(self: LogScripts, run_id: str, *options: Any) -> Any:
        monkeypatch.setattr(LogScripts, "page", page)
        found = await page(self, run_id, *options)
        tail = stores.events.followed[writer.run_id].tail
        missed = tail.missed
        await writer.write()
        await eventually(lambda: tail.missed > missed)
        return found

    monkeypatch.setattr(LogScripts, "page", page_before_an_event)
    writer.attempt.append("values", LARGE_FRAME)
    await writer.attempt.flush()
    await eventually(lambda: len(follower.events) == 4)
    await writer.settle()
    assert len((await follower.wait_until_end()).events) == 5


async def test_followers_receive_large_events_when_redis_is_away_for_a_moment(
    remote: Stores, proxy: Proxy, stores: Stores, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read of the missed events is repeated."""
    writer, failures, page = await start_writer(stores), iter([True, True, False]), LogScripts.page
    follower = Follower(remote.events, writer.run_id)
    await eventually(lambda: len(follower.events) == 1)

    async def failing_page(self: LogScripts, run_id: str, *options: Any) -> Any:
        if next(failures, False):
            raise StoreUnavailable("Redis: it is unavailable")
        return await page(self, run_id, *options)

    monkeypatch.setattr(LogScripts, "page", failing_page)
    monkeypatch.setattr("slipway.runs.event_log.RETRY_PAUSE_S", 0.01)
    writer.attempt.append("values", LARGE_FRAME)
    await writer.settle()
    assert [event.name for event in (await follower.wait_until_end()).events] == ["metadata", "values", "end"]


def test_a_tail_of_large_events_is_bounded_in_bytes() -> None:
    tail, block = Tail("r"), b"x" * (TAIL_BYTES // 4)
    for number in range(1, 30):
        tail.add((number - 1, 0), [Event(f"{number}-0", (number, 0), "values", block)])
    assert tail.end == (29, 0)
    assert tail.events_after((1, 0)) is None
    kept = next(events for first in range(30) if (events := tail.events_after((first, 0))) is not None)
    assert 4 <= len(kept) <= 8
    tail.add((29, 0), [Event("30-0", (30, 0), "values", block * 9)])
    assert [event.id for event in tail.events_after((29, 0)) or ()] == ["30-0"]


def _events(*milliseconds: int) -> list[Event]:
    return [Event(f"{ms}-0", (ms, 0), "values", b"") for ms in milliseconds]


def test_a_tail_discards_events_before_a_gap() -> None:
    tail = Tail("r")
    tail.add((0, 0), _events(1, 2))
    tail.add((4, 0), _events(5))  # 3 and 4 were not received
    assert tail.events_after((2, 0)) is None
    assert tail.events_after((4, 0)) == _events(5)


def test_a_tail_returns_an_event_once_that_was_added_twice() -> None:
    tail = Tail("r")
    tail.add((0, 0), _events(1, 2))
    tail.add((0, 0), _events(1, 2))
    assert tail.events_after((0, 0)) == _events(1, 2)


def test_a_tail_that_discarded_old_events_returns_all_newer_ones_or_none() -> None:
    tail = Tail("r")
    positions = range(1, 2 * TAIL_EVENTS + 2)
    for position in positions:
        tail.add((position - 1, 0), _events(position))
    for position in (0, *positions):
        events = tail.events_after((position, 0))
        assert events is None or [event.position[0] for event in events] == list(range(position + 1, positions.stop))
    assert len(tail.events_after((positions.stop - 1 - TAIL_EVENTS, 0)) or ()) == TAIL_EVENTS


@pytest.mark.parametrize("after", ["0", "0-1"])
async def test_a_follower_that_disconnects_before_the_subscription_does_not_stop_another(
    stores: Stores, writer: NumberWriter, after: str
) -> None:
    first, second = (Follower(stores.events, writer.run_id, after) for _ in range(2))
    await event_loop_iterations(1)  # both wait for the subscription, whose reply cannot have arrived yet
    await first.disconnect()
    await writer.settle()
    assert [event.name for event in (await second.wait_until_end()).events][-1:] == ["end"]


@pytest.fixture
def notifications(stores: Stores) -> ThreadNotifications:
    return ThreadNotifications(stores.keys, stores.subscriber)


async def test_a_cancelled_subscription_to_a_thread_does_not_cancel_another(notifications: ThreadNotifications) -> None:
    with notifications.notified("some thread") as (first, _), notifications.notified("some thread") as (second, _):
        first.cancel()
        async with asyncio.timeout(POLL_S):
            await second


async def test_a_subscriber_of_a_thread_is_notified_after_another_unsubscribed(
    stores: Stores, notifications: ThreadNotifications
) -> None:
    with notifications.notified("some thread") as (subscribed, notified):
        with notifications.notified("some thread"):
            await subscribed
        await stores.pipeline.send("PUBLISH", stores.keys.thread_notifications("some thread"), "event")
        async with asyncio.timeout(POLL_S):
            await notified.wait()
