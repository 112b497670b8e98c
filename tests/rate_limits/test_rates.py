"""Rates as texts, clients as addresses, and the bucket of a real server."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.clock import Clock
from slipway.errors import ConfigError, RateLimited, StoreUnavailable
from slipway.rate_limits.clients import address_client, user_client
from slipway.rate_limits.limiter import RateLimiter, RatePolicies
from slipway.rate_limits.scripts import Bucket, RateScripts
from slipway.rates import Rate, rate_from
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.settings import Settings


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(10_000, 100)),
        ("100/s burst 200", Rate(10_000, 200)),
        (" 6000 / min ", Rate(10_000, 6000)),
        ("1/h", Rate(3_600_000_000, 1)),
        ("3/d burst 1", Rate(28_800_000_000, 1)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert rate_from(text) == rate


@pytest.mark.parametrize(
    "text", ["", "100", "0/s", "1/s burst 0", "-1/s", "1.5/s", "1/week", "1/s burst", "٣/s", "2000000/s"]
)
def test_what_is_no_rate_is_an_error_that_names_the_setting(text: str) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_RATE_PER_KEY"):
        Settings.from_values({"rate_per_key": text})


@given(st.text(max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        rate = rate_from(text)
    except ValueError:
        return
    assert rate.interval_us >= 1
    assert rate.burst >= 1


def test_addresses_of_one_site_are_one_client() -> None:
    assert address_client("2001:db8:1:2::1") == address_client("2001:db8:1:2:ffff::9")
    assert address_client("2001:db8:1:2::1") != address_client("2001:db8:1:3::1")
    assert address_client("::ffff:192.0.2.1") == address_client("192.0.2.1")
    assert address_client("fe80::1%eth0") == address_client("fe80::2")
    assert address_client("192.0.2.1").digest != user_client("192.0.2.1").digest


@pytest.fixture
def scripts(pipeline: Pipeline, keys: Keys) -> RateScripts:
    return RateScripts(pipeline, keys)


async def test_64_tasks_get_exactly_the_room_of_the_bucket(scripts: RateScripts) -> None:
    bucket = Bucket("user:ann", rate_from("1/d burst 37"))
    states = [state for [state] in await asyncio.gather(*(scripts.take([bucket]) for _ in range(64)))]
    assert sum(state.has_token for state in states) == 37
    assert sorted(state.left for state in states if state.has_token) == list(range(37))
    rejected = [state for state in states if not state.has_token]
    assert all(0 < state.token_in_us <= 86_400_000_000 for state in rejected)


async def test_a_token_is_taken_from_all_buckets_or_from_none(scripts: RateScripts) -> None:
    wide, narrow = Bucket("wide", rate_from("1/d burst 5")), Bucket("narrow", rate_from("1/d burst 1"))
    assert [state.has_token for state in await scripts.take([wide, narrow])] == [True, True]
    assert [state.has_token for state in await scripts.take([wide, narrow])] == [True, False]
    [state] = await scripts.take([wide], count=0)
    assert state.left == 4


async def test_tokens_return_one_by_one(scripts: RateScripts, pipeline: Pipeline, keys: Keys) -> None:
    """Of the key, because nobody can turn the clock of the server."""
    bucket = Bucket("user:ann", Rate(1_000_000_000, 4))
    for _ in range(4):
        await scripts.take([bucket])
    name = f"{keys.prefix}:rate:user:ann"
    full_us = int(await pipeline.send("GET", name, repeatable=True))
    for returned in (1, 2):
        await pipeline.send("SET", name, full_us - returned * 1_000_000_000)
        [state] = await scripts.take([bucket], count=0)
        assert state.left == returned


async def test_a_bucket_is_deleted_when_it_is_full(scripts: RateScripts, pipeline: Pipeline, keys: Keys) -> None:
    await scripts.take([Bucket("user:ann", rate_from("10/s"))])
    assert 0 < await pipeline.send("PTTL", f"{keys.prefix}:rate:user:ann", repeatable=True) <= 102


async def test_without_a_rate_nothing_is_sent(keys: Keys) -> None:
    limiter = RateLimiter(
        RateScripts(ServerPipeline(Address("unix:///nowhere"), "none", patience_s=1), keys), RatePolicies(), Clock()
    )
    assert await limiter.count_user(user_client("ann"), writes=True) == []
    assert await limiter.count_address(address_client("192.0.2.1")) == []


async def test_in_shadow_mode_requests_are_counted_and_served(scripts: RateScripts) -> None:
    counted: list[tuple[str, bool]] = []
    limiter = RateLimiter(scripts, RatePolicies(per_user=rate_from("1/d"), shadow=True), Clock())
    limiter.on_limited = lambda policy, shadow: counted.append((policy, shadow))
    for _ in range(3):
        await limiter.count_user(user_client("ann"), writes=False)
    assert counted == [("user", True), ("user", True)]


async def test_requests_are_served_while_redis_is_unavailable(keys: Keys) -> None:
    class Unavailable(RateScripts):
        async def take(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise StoreUnavailable("Redis does not reply")

    pipeline = ServerPipeline(Address("unix:///nowhere"), "none", patience_s=1)
    limiter = RateLimiter(Unavailable(pipeline, keys), RatePolicies(per_user=rate_from("1/d")), Clock())
    for _ in range(3):
        assert await limiter.count_user(user_client("ann"), writes=False) == []


async def test_an_empty_bucket_says_when_it_has_a_token(scripts: RateScripts) -> None:
    limiter = RateLimiter(scripts, RatePolicies(per_user=rate_from("1/min")), Clock())
    await limiter.count_user(user_client("ann"), writes=False)
    with pytest.raises(RateLimited) as limited:
        await limiter.count_user(user_client("ann"), writes=False)
    assert 55 <= limited.value.retry_after_s <= 60
    [allowance] = limited.value.allowances
    assert (allowance.policy, allowance.quota, allowance.left) == ("user", 1, 0)
