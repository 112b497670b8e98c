"""The connections of an arq application: how many, to which Redis, and who uses them."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from arq import func
from arq.connections import RedisSettings, create_pool
from redis.exceptions import ConnectionError as RedisConnectionError

import slipway.arq
from slipway.arq_jobs.current_pool import provide_pool
from slipway.arq_jobs.redis_pool import ProjectRedis, problem_with_own_redis, project_redis
from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.redis.connection import Address
from slipway.services import open_services
from slipway.settings import Settings
from tests.arq.conftest import Running, loaded, queue_name
from tests.certificates import self_signed
from tests.proxy import proxied, tcp_proxied
from tests.waiting import event_loop_iterations


async def work(ctx: dict[Any, Any]) -> None: ...


def unix_settings(url: str, **options: Any) -> RedisSettings:
    return RedisSettings(unix_socket_path=url.removeprefix("unix://"), **options)


async def test_the_connections_are_limited_and_commands_wait(settings: Settings, valkey_url: str) -> None:
    async with proxied(valkey_url) as proxy:
        application = await loaded(settings.model_copy(update={"arq_connections": 2}), functions=[work])
        client = project_redis(application, Address(proxy.url))
        await asyncio.gather(*(client.enqueue_job("work", _queue_name=queue_name()) for _ in range(40)))
        assert proxy.accepted == 2
        await client.disconnect()


async def test_the_limit_in_the_projects_redis_settings_is_kept(settings: Settings, valkey_url: str) -> None:
    async with proxied(valkey_url) as proxy:
        own = unix_settings(proxy.url, max_connections=3)
        application = await loaded(settings, functions=[work], redis_settings=own)
        client = project_redis(application, Address(settings.redis))
        await asyncio.gather(*(client.ping() for _ in range(40)))
        assert (application.connections, proxy.accepted) == (3, 3)
        await client.disconnect()


@pytest.mark.parametrize(
    "options",
    [
        {"host": "redis.example", "port": 7000, "database": 3, "username": "ada", "password": "secret"},
        {"host": "redis.example", "ssl": True, "ssl_cert_reqs": "none", "ssl_ca_certs": "/ca.pem", "conn_timeout": 9},
        {"unix_socket_path": "/run/redis.sock", "database": 2, "retry_on_timeout": True},
    ],
    ids=["tcp", "tls", "unix"],
)
async def test_redis_settings_mean_what_they_mean_in_arq(
    settings: Settings, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ping(client: object) -> None: ...

    monkeypatch.setattr("redis.asyncio.Redis.ping", ping)  # nothing listens at these addresses
    given = RedisSettings(**options)
    of_arq = (await create_pool(given)).connection_pool
    application = await loaded(settings, functions=[work], redis_settings=given)
    ours = project_redis(application, Address(settings.redis)).connection_pool
    assert ours.connection_class is of_arq.connection_class
    assert ours.connection_kwargs == of_arq.connection_kwargs


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # redis-py, for each pipeline that was cancelled twice
async def test_no_connection_is_lost_when_tasks_are_cancelled(settings: Settings) -> None:
    """Tasks are cancelled while they wait for a connection, use it, and give it back, some of them twice."""
    client, chance = project_redis(await loaded(settings, functions=[work]), Address(settings.redis)), Random(4)
    for _ in range(150):
        tasks = [asyncio.create_task(client.enqueue_job("work", _queue_name="arq:cancelled")) for _ in range(6)]
        await event_loop_iterations(chance.randrange(25))
        for task in tasks * 2:
            await event_loop_iterations(chance.randrange(3))
            task.cancel()
        await asyncio.wait(tasks)
    async with asyncio.timeout(20):
        await asyncio.gather(*(client.ping() for _ in range(10)))
    await client.disconnect()


async def test_sentinels_are_asked_for_the_primary_with_a_limit(settings: Settings) -> None:
    given = RedisSettings(host=[("sentinel.example", 26379)], sentinel=True, sentinel_master="main", password="secret")
    application = await loaded(settings, functions=[work], redis_settings=given)
    pool: Any = project_redis(application, Address(settings.redis)).connection_pool
    assert (pool.max_connections, pool.service_name, pool.connection_kwargs["password"]) == (2, "main", "secret")
    [sentinel] = pool.sentinel_manager.sentinels
    assert sentinel.connection_pool.connection_kwargs["host"] == "sentinel.example"
    taken = [pool.get_available_connection() for _ in range(2)]
    waiting = asyncio.create_task(pool.get_connection())
    await event_loop_iterations(5)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(*map(pool.release, taken))


async def test_without_redis_settings_it_is_slipways_redis(settings: Settings, valkey_url: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    async with tcp_proxied(valkey_url, certificate.server()) as proxy:
        url, application = f"{proxy.url.removesuffix('/0')}/4", await loaded(settings, functions=[work])
        untrusted = project_redis(application, Address(url))
        with pytest.raises(RedisConnectionError, match="certificate verify failed"):
            await untrusted.ping()
        trusting = settings.model_copy(update={"redis_url": None}).from_values(
            {"redis_url": url, "redis_ca_file": certificate.file}
        )
        client = project_redis(application, Address(trusting.redis))
        info = await client.client_info()
        assert (info["db"], info["name"]) == (4, "slipway-arq")
        await client.disconnect()


async def test_beside_a_cluster_arq_needs_a_redis_of_its_own(settings: Settings) -> None:
    application, cluster = await loaded(settings, functions=[work]), {"SLIPWAY_REDIS_URL": "redis://a:1,b:2"}
    address = Address(Settings.load(cluster).arq_redis)
    with pytest.raises(ConfigError, match="arq cannot use a Redis Cluster: set SLIPWAY_ARQ_REDIS_URL"):
        project_redis(application, address)
    assert "SLIPWAY_ARQ_REDIS_URL" in str(await problem_with_own_redis(application, address))
    beside = Settings.load({**cluster, "SLIPWAY_ARQ_REDIS_URL": settings.redis})
    client = project_redis(application, Address(beside.arq_redis))
    assert await client.ping()
    await client.disconnect()


async def test_an_own_redis_that_does_not_reply_is_a_problem_of_a_release(settings: Settings) -> None:
    address = Address(settings.redis)
    unreachable = await loaded(settings, functions=[work], redis_settings=RedisSettings(port=1))
    problem = await problem_with_own_redis(unreachable, address)
    assert problem is not None
    assert re.match(
        r"slipway\.arq: .*: the Redis of redis_settings does not reply: ConnectionError.*localhost:1", problem
    )
    assert await problem_with_own_redis(await loaded(settings, functions=[work]), address) is None


async def test_closing_the_client_closes_no_connection(redis: ProjectRedis) -> None:
    async with redis:
        before = await redis.client_id()
    await redis.aclose(close_connection_pool=True)
    assert await redis.client_id() == before


async def test_the_serializers_of_the_application_are_used(running: Running, redis: ProjectRedis) -> None:
    received = asyncio.Queue[Any]()

    async def receive(ctx: dict[Any, Any], value: Any) -> Any:
        await received.put(value)
        return {"received": value}

    as_json = {"job_serializer": orjson.dumps, "job_deserializer": orjson.loads}
    async with running(functions=[func(receive, name="receive")], **as_json) as jobs:
        job = await jobs.pool.enqueue_job("receive", {"a": 1})
        assert job is not None
        assert await job.result(timeout=20, poll_delay=0.01) == {"received": {"a": 1}}
        stored = await redis.get(f"arq:result:{job.job_id}")
    assert orjson.loads(stored)["r"] == {"received": {"a": 1}}


async def test_a_process_that_may_not_open_the_connections_does_not_start(settings: Settings, graphs: Registry) -> None:
    few = settings.model_copy(update={"redis_max_connections": 6})
    with pytest.raises(ConfigError, match=r"SLIPWAY_REDIS_MAX_CONNECTIONS \(6\) .* 7, .* and for slipway\.arq \(2\)"):
        async with open_services(few, graphs, "worker"):
            pass
    async with open_services(few, graphs, "web") as services:
        assert slipway.arq.pool() is services.arq.redis if services.arq else False


@pytest.fixture
async def unnamed_application() -> AsyncIterator[None]:
    with provide_pool(None):
        yield


@pytest.mark.usefixtures("unnamed_application")
async def test_without_an_application_the_error_names_the_key() -> None:
    for use in (slipway.arq.pool, lambda: slipway.arq.enqueue_job_sync("work")):
        with pytest.raises(ConfigError, match=r"slipway\.arq: langgraph\.json names no arq application"):
            use()


async def test_outside_a_process_of_slipway_the_error_says_so() -> None:
    for use in (slipway.arq.pool, lambda: slipway.arq.enqueue_job_sync("work")):
        with pytest.raises(RuntimeError, match="outside a web process or worker"):
            use()


async def test_a_thread_enqueues_and_the_event_loop_may_not(redis: ProjectRedis) -> None:
    queue, job_id = queue_name(), uuid.uuid4().hex
    with provide_pool(redis):
        job = await asyncio.to_thread(slipway.arq.enqueue_job_sync, "work", _queue_name=queue, _job_id=job_id)
        assert job is not None
        assert job.job_id == job_id
        assert await asyncio.to_thread(slipway.arq.enqueue_job_sync, "work", _queue_name=queue, _job_id=job_id) is None
        with pytest.raises(RuntimeError, match=r"use await slipway\.arq\.pool\(\)\.enqueue_job"):
            slipway.arq.enqueue_job_sync("work", _queue_name=queue)
    assert await redis.zrange(queue, 0, -1) == [job_id.encode()]
