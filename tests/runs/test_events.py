"""Following a run's log: everything, once, in order, whatever is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from slipway.redis.keys import Keys
from slipway.runs.attempt import Attempt
from slipway.runs.event_log import POLL_S, READ_EVENTS, EventLog
from slipway.runs.event_tail import TAIL_EVENTS, Tail
from slipway.runs.events import Event
from slipway.runs.record import Run, new_id
from slipway.threads.notifications import ThreadNotifications
from tests.conftest import Eventually
from tests.proxy import Proxy, proxied
from tests.runs.conftest import Stores, opened, settlement


class Writing:
    """A run whose events are numbers."""

    def __init__(self, stores: Stores, run: Run) -> None:
        self.stores, self.run, self.run_id = stores, run, run.run_id
        self.attempt = Attempt(stores.scripts, run)
        self.written = 0

    def put(self, count: int = 1) -> None:
        """Append numbers in one group."""
        for _ in range(count):
            self.written += 1
            self.attempt.append("values", b"event: values\r\ndata: %d\r\n" % self.written)

    async def write(self, count: int = 1) -> None:
        """Append numbers, and wait until they are in the log."""
        self.put(count)
        await self.attempt.flush()

    async def end(self) -> None:
        """Settle the run."""
        await self.attempt.settle(settlement(self.run))


class Reading:
    """A follower in a task, with what it has seen."""

    def __init__(self, events: EventLog, run_id: str, after: str = "0") -> None:
        self.seen: list[Event] = []
        self.task = asyncio.create_task(self._read(events, run_id, after))

    async def _read(self, events: EventLog, run_id: str, after: str) -> None:
        follower = events.follow(run_id, after)
        try:
            async for batch in follower:
                self.seen.extend(batch)
        finally:
            await follower.aclose()

    @property
    def numbers(self) -> list[int]:
        """What was written, as it came."""
        return numbers(self.seen)

    async def done(self) -> Reading:
        """The follower has seen the end, and not because the Stream is read now and then."""
        async with asyncio.timeout(POLL_S * 2 / 3):
            await self.task
        return self

    async def gone(self) -> None:
        """The follower went away."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def numbers(events: Sequence[Event]) -> list[int]:
    """The numbers among events."""
    return [int(event.data) for event in events if event.name == "values"]


async def started(stores: Stores) -> Writing:
    """A run that has just begun."""
    await stores.run(await stores.thread())
    return Writing(stores, await stores.claim_one())


@pytest.fixture
async def writing(stores: Stores) -> Writing:
    """A run that has just begun."""
    return await started(stores)


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[Proxy]:
    """Before the subscriber of `far`."""
    async with proxied(valkey_url) as proxy:
        yield proxy


@pytest.fixture
async def far(valkey_url: str, keys: Keys, proxy: Proxy) -> AsyncIterator[Stores]:
    """Another process, whose subscriber connects through the proxy."""
    async with opened(valkey_url, keys, listens_at=proxy.url) as stores:
        yield stores


async def test_a_log_that_is_complete_is_read_from_its_start(writing: Writing, stores: Stores) -> None:
    await writing.write(3)
    await writing.end()
    reading = await Reading(stores.events, writing.run_id).done()
    assert [event.name for event in reading.seen] == ["metadata", "values", "values", "values", "end"]
    assert reading.seen == await stores.log(writing.run_id)


@pytest.mark.parametrize("position", range(5))
async def test_a_reader_goes_on_after_any_event(writing: Writing, stores: Stores, position: int) -> None:
    await writing.write(3)
    if position == 4:
        await writing.end()
    log = await stores.log(writing.run_id)
    reading = Reading(stores.events, writing.run_id, log[position].id)
    if position < 4:
        await writing.write(2)
        await writing.end()
    await reading.done()
    assert reading.seen == (await stores.log(writing.run_id))[position + 1 :]


async def test_a_live_reader_gets_only_what_is_new(writing: Writing, stores: Stores, eventually: Eventually) -> None:
    await writing.write(3)
    reading = Reading(stores.events, writing.run_id, "$")
    await eventually(lambda: any(followed.tail.end for followed in stores.events.followed.values()))
    await writing.write(2)
    await writing.end()
    assert (await reading.done()).numbers == [4, 5]


async def test_an_event_that_comes_while_a_late_reader_looks_is_seen_at_once(stores: Stores) -> None:
    for _ in range(30):
        writing = await started(stores)
        await writing.write()
        last = (await stores.log(writing.run_id))[-1].id
        reading = Reading(stores.events, writing.run_id, last)
        for turns in range(40):  # the event may come in any turn of the reader's start
            if turns % 4 == 0:
                writing.put()
            await asyncio.sleep(0)
        await writing.attempt.flush()
        await writing.end()
        await reading.done()
        assert reading.numbers == list(range(2, writing.written + 1))


async def test_one_event_in_each_turn_of_a_late_readers_start(stores: Stores) -> None:
    for turns in range(40):
        writing = await started(stores)
        await writing.write()
        last = (await stores.log(writing.run_id))[-1].id
        reading = Reading(stores.events, writing.run_id, last)
        for _ in range(turns):
            await asyncio.sleep(0)
        await writing.end()
        await reading.done()
        assert [event.name for event in reading.seen] == ["end"]


async def test_a_burst_reaches_everybody(writing: Writing, stores: Stores) -> None:
    readings = [Reading(stores.events, writing.run_id) for _ in range(100)]
    for _ in range(20):
        writing.put(50)
        await asyncio.sleep(0)
    await writing.end()
    for reading in readings:
        await reading.done()
        assert reading.numbers == list(range(1, 1001))
    assert stores.events.followed == {}


async def test_readers_of_one_run_ask_nothing_of_redis(
    writing: Writing, stores: Stores, eventually: Eventually
) -> None:
    readings = [Reading(stores.events, writing.run_id) for _ in range(100)]
    await eventually(lambda: all(reading.seen for reading in readings))
    before = stores.pipeline.round_trips
    for _ in range(10):
        await writing.write()
    assert stores.pipeline.round_trips - before <= 10
    await writing.end()
    for reading in readings:
        assert (await reading.done()).numbers == list(range(1, 11))


async def test_a_reader_slower_than_what_is_kept_reads_the_stream(writing: Writing, stores: Stores) -> None:
    fast = Reading(stores.events, writing.run_id)
    follower = stores.events.follow(writing.run_id)
    seen = list(await anext(follower))
    for _ in range(5):
        await writing.write(TAIL_EVENTS // 2)
        await asyncio.sleep(0)
    await writing.end()
    async for batch in follower:
        seen.extend(batch)
        await asyncio.sleep(0)
    assert numbers(seen) == (await fast.done()).numbers == list(range(1, 5 * TAIL_EVENTS // 2 + 1))


async def test_lost_messages_cost_no_event(far: Stores, proxy: Proxy, stores: Stores, eventually: Eventually) -> None:
    writing = await started(stores)
    reading = Reading(far.events, writing.run_id)
    lost = iter([False, True, False, True, True, False, False, True] * 10)
    proxy.loses = lambda reply: reply[0] == b"message" and next(lost)
    await eventually(lambda: len(reading.seen) == 1)
    for _ in range(20):
        await writing.write()
    proxy.loses = None
    await writing.end()
    assert (await reading.done()).numbers == list(range(1, 21))


@pytest.mark.parametrize("missed", [READ_EVENTS - 2, 2 * READ_EVENTS + 1])
async def test_all_that_was_missed_is_found_at_once(
    far: Stores, proxy: Proxy, stores: Stores, eventually: Eventually, missed: int
) -> None:
    writing = await started(stores)
    reading = Reading(far.events, writing.run_id)
    await eventually(lambda: len(reading.seen) == 1)
    proxy.loses = lambda reply: reply[0] == b"message"
    await writing.write(missed)
    await writing.end()
    followed = far.events.followed[writing.run_id]
    await far.events.read_missed(writing.run_id, followed.tail)
    followed.tail.notify_followers()
    assert (await reading.done()).numbers == list(range(1, missed + 1))


async def test_what_was_read_before_a_break_does_not_say_where_the_log_ends(writing: Writing, stores: Stores) -> None:
    for broken in (False, True):
        tail = Tail()
        reading = asyncio.create_task(stores.events.read_into_tail(writing.run_id, (0, 0), tail))
        await asyncio.sleep(0)  # it reads
        if broken:
            tail.on_notification(None)
        (begin,) = await reading
        assert tail.end == (None if broken else begin.position)


async def test_a_break_while_missed_events_are_read_is_not_forgotten(writing: Writing, stores: Stores) -> None:
    await writing.write(2)
    tail, log = Tail(), await stores.log(writing.run_id)
    tail.add((0, 0), log[:1])
    finding = asyncio.create_task(stores.events.read_missed(writing.run_id, tail))
    await asyncio.sleep(0)  # it reads
    tail.on_notification(None)
    await finding
    assert tail.events_after(log[-1].position) is None, "what came after the read and before the break may be missing"


async def test_a_subscriber_that_reconnects_has_missed_nothing(
    far: Stores, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    writing = await started(stores)
    reading = Reading(far.events, writing.run_id)
    await eventually(lambda: len(reading.seen) == 1)
    for round_ in range(1, 6):
        proxy.refusing = True
        proxy.cut()
        await writing.write(3)
        proxy.refusing = False
        await eventually(lambda expected=3 * round_: len(reading.numbers) == expected)  # type: ignore[misc]
    proxy.cut()
    await writing.end()
    assert (await reading.done()).numbers == list(range(1, 16))


async def test_what_is_said_between_a_reconnect_and_a_slow_read_is_not_lost(
    valkey_url: str, keys: Keys, proxy: Proxy, stores: Stores, eventually: Eventually
) -> None:
    async with proxied(valkey_url) as slow, opened(slow.url, keys, listens_at=proxy.url) as far:
        writing = await started(stores)
        await writing.write()
        reading = Reading(far.events, writing.run_id)
        await eventually(lambda: len(reading.seen) == 2)
        slow.hold_replies()
        proxy.cut()  # the reader reads the stream when the subscription is back, and that answer is held
        accepted = proxy.accepted
        await eventually(lambda: slow.held_bytes > 0)
        proxy.refusing = True
        proxy.cut()
        await writing.end()
        proxy.refusing = False
        await eventually(lambda: proxy.accepted > accepted + 1)
        await eventually(lambda: far.subscriber.connected)
        slow.release_replies()
        await reading.done()


async def test_a_log_that_is_gone_ends_at_once(stores: Stores) -> None:
    reading = await Reading(stores.events, new_id()).done()
    assert reading.seen == []


async def test_a_log_that_no_longer_reaches_back_says_so(writing: Writing, stores: Stores) -> None:
    await writing.write(5)
    log = await stores.log(writing.run_id)
    await stores.pipeline.send("XTRIM", stores.keys.events(writing.run_id), "MAXLEN", 2)
    reading = Reading(stores.events, writing.run_id, log[1].id)
    await writing.end()
    await reading.done()
    assert [event.name for event in reading.seen] == ["gap", "values", "values", "end"]
    assert reading.numbers == [4, 5]


async def test_a_log_that_expired_is_a_gap(writing: Writing, stores: Stores) -> None:
    await writing.write(2)
    last = (await stores.log(writing.run_id))[-1].id
    await stores.pipeline.send("DEL", stores.keys.events(writing.run_id))
    reading = await Reading(stores.events, writing.run_id, last).done()
    assert [event.name for event in reading.seen] == ["gap"]


async def test_a_position_from_the_future_still_sees_the_end(
    writing: Writing, stores: Stores, eventually: Eventually
) -> None:
    await writing.write(2)
    reading = Reading(stores.events, writing.run_id, "99999999999999-0")
    await eventually(lambda: any(followed.tail.end for followed in stores.events.followed.values()))
    await writing.end()
    await reading.done()
    assert reading.seen[-1].name == "end"


async def test_followers_that_leave_leave_nothing(writing: Writing, stores: Stores, eventually: Eventually) -> None:
    readings = [Reading(stores.events, writing.run_id) for _ in range(5)]
    await eventually(lambda: all(reading.seen for reading in readings))
    for reading in readings:
        await reading.gone()
    assert stores.events.followed == {}
    await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name().endswith(writing.run_id)])
    channel = stores.keys.run_notifications(writing.run_id)

    async def unheard() -> bool:
        _, count = await stores.pipeline.send("PUBSUB", "NUMSUB", channel)
        return bool(count == 0)

    await eventually(unheard)


async def test_whoever_expects_a_run_needs_no_read(stores: Stores, eventually: Eventually) -> None:
    run_id, thread_id = new_id(), await stores.thread()
    with stores.events.subscribe_before_create(run_id):
        followed = stores.events.followed[run_id]
        await followed.wait_until_subscribed()
        await stores.run(thread_id, run_id=run_id)
        await eventually(lambda: followed.tail.end)  # its first event was heard
        before = stores.pipeline.round_trips
        batch = await anext(stores.events.follow(run_id))
        assert [event.name for event in batch] == ["metadata"]
        assert stores.pipeline.round_trips == before


def _events(*places: int) -> list[Event]:
    return [Event(f"{place}-0", (place, 0), "values", b"") for place in places]


def test_a_tail_forgets_what_it_cannot_join() -> None:
    tail = Tail()
    tail.add((0, 0), _events(1, 2))
    tail.add((4, 0), _events(5))  # 3 and 4 were not heard
    assert tail.events_after((2, 0)) is None
    assert tail.events_after((4, 0)) == _events(5)


def test_a_tail_hears_twice_and_tells_once() -> None:
    tail = Tail()
    tail.add((0, 0), _events(1, 2))
    tail.add((0, 0), _events(1, 2))
    assert tail.events_after((0, 0)) == _events(1, 2)


def test_a_tail_that_drops_old_events_knows_which_it_has() -> None:
    tail = Tail()
    places = range(1, 2 * TAIL_EVENTS + 2)
    for place in places:
        tail.add((place - 1, 0), _events(place))
    for place in (0, *places):
        known = tail.events_after((place, 0))
        assert known is None or [event.position[0] for event in known] == list(range(place + 1, places.stop))
    assert len(tail.events_after((places.stop - 1 - TAIL_EVENTS, 0)) or ()) == TAIL_EVENTS


@pytest.mark.parametrize("after", ["0", "0-1"])
async def test_a_reader_that_leaves_before_the_subscription_takes_no_other_along(
    stores: Stores, writing: Writing, after: str
) -> None:
    first, second = (Reading(stores.events, writing.run_id, after) for _ in range(2))
    await asyncio.sleep(0)  # both wait for the subscription, which no answer can have reached yet
    await first.gone()
    await writing.end()
    assert [event.name for event in (await second.done()).seen][-1:] == ["end"]


@pytest.fixture
def notifications(stores: Stores) -> ThreadNotifications:
    """Those of the process of `stores`."""
    return ThreadNotifications(stores.keys, stores.subscriber)


async def test_a_waiter_for_a_thread_that_leaves_takes_no_other_along(notifications: ThreadNotifications) -> None:
    with notifications.notified("some thread") as (first, _), notifications.notified("some thread") as (second, _):
        first.cancel()
        async with asyncio.timeout(POLL_S):
            await second


async def test_a_waiter_for_a_thread_is_woken_after_another_has_left(
    stores: Stores, notifications: ThreadNotifications
) -> None:
    with notifications.notified("some thread") as (subscribed, woken):
        with notifications.notified("some thread"):
            await subscribed
        await stores.pipeline.send("PUBLISH", stores.keys.thread_notifications("some thread"), "event")
        async with asyncio.timeout(POLL_S):
            await woken.wait()
