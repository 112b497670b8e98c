"""The connections to Redis of the project's arq application.

arq would open a connection for each command that runs at the same time as others. Here their number is limited, and a
command waits while all are in use. arq's worker, the project's jobs (`ctx["redis"]`) and `slipway.arq.pool()` share
these connections in one process.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final, cast

from arq.connections import ArqRedis, RedisSettings
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import RedisError

from slipway.arq_jobs.application import KEY, ArqApplication
from slipway.arq_jobs.waiting_pool import WaitingPool
from slipway.errors import ConfigError
from slipway.exception_text import repr_of
from slipway.redis.connection import Address

_CONNECT_TIMEOUT_S: Final = 5.0
_CLIENT_NAME: Final = "slipway-arq"
_NO_CLUSTER: Final = (
    f"{KEY}: arq cannot use a Redis Cluster: set SLIPWAY_ARQ_REDIS_URL to a Redis that is none, or `redis_settings` "
    "of the application"
)


class ProjectRedis(ArqRedis):
    """The client for the project's code. Closing it does nothing, because others use its connections too."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Does nothing: the connections are closed when the process ends."""

    async def disconnect(self) -> None:
        """Closes all connections. A later command opens a new one."""
        await self.connection_pool.disconnect()


def project_redis(application: ArqApplication, address: Address) -> ProjectRedis:
    """A client with the queue and the serializers of the application, for its own `redis_settings` or else for
    the Redis at `address`. It connects when the first command is sent. Raises `ConfigError` if that is a cluster."""
    settings, most = application.redis_settings, application.connections
    if settings is None and address.is_cluster:
        raise ConfigError(_NO_CLUSTER)
    pool = _own_pool(address, most) if settings is None else _pool_of(settings, most)
    return ProjectRedis(
        pool,
        job_serializer=application.job_serializer,
        job_deserializer=application.job_deserializer,
        default_queue_name=application.queue_name,
        expires_extra_ms=application.expires_extra_ms,
    )


async def problem_with_own_redis(application: ArqApplication, address: Address) -> str | None:
    """Why the Redis of the application's `redis_settings` does not reply. None if it does, or if the application uses
    the Redis at `address`, which must not be a cluster."""
    if application.redis_settings is None:
        return _NO_CLUSTER if address.is_cluster else None
    client = project_redis(application, address)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await client.ping()
    except (RedisError, OSError) as error:
        return (
            f"{KEY}: {application.source}: the Redis of redis_settings does not reply: {repr_of(error)}. Leave "
            "redis_settings out to use the Redis of Slipway"
        )
    finally:
        await client.disconnect()
    return None


class _TlsConnection(SSLConnection):
    """Trusts the certificates that Slipway's other connections trust."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


def _own_pool(address: Address, most: int) -> ConnectionPool:
    """Not built from arq's `RedisSettings`, which cannot say that only the authority in `SLIPWAY_REDIS_CA_FILE` is
    trusted."""
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "client_name": _CLIENT_NAME,
    }
    kind: type[AbstractConnection] = Connection
    if address.path is not None:
        kind, options["path"] = UnixDomainSocketConnection, address.path
    else:
        options |= {"host": address.host, "port": address.port}
        if address.tls is not None:
            kind, options["context"] = _TlsConnection, address.tls
    return WaitingPool(max_connections=most, connection_class=cast(Any, kind), **options)


class _WaitingSentinelPool(SentinelConnectionPool, WaitingPool):
    """Asks the sentinels for the address of the primary; commands wait while all connections are in use."""


def _pool_of(settings: RedisSettings, most: int) -> ConnectionPool:
    """Connects as `arq.connections.create_pool` does with these settings."""
    login: dict[str, Any] = {
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "encoding": "utf8",
    }
    if settings.sentinel:
        sentinels = Sentinel(sentinels=settings.host, ssl=settings.ssl, **login)  # type: ignore[no-untyped-call]
        client = sentinels.master_for(
            settings.sentinel_master,
            redis_class=ArqRedis,
            connection_pool_class=_WaitingSentinelPool,
            max_connections=most,
        )
        return cast("ConnectionPool", client.connection_pool)
    pool = ArqRedis(
        host=settings.host,
        port=settings.port,
        unix_socket_path=settings.unix_socket_path,
        socket_connect_timeout=settings.conn_timeout,
        ssl=settings.ssl,
        ssl_keyfile=settings.ssl_keyfile,
        ssl_certfile=settings.ssl_certfile,
        ssl_cert_reqs=settings.ssl_cert_reqs,
        ssl_ca_certs=settings.ssl_ca_certs,
        ssl_ca_data=settings.ssl_ca_data,
        ssl_check_hostname=settings.ssl_check_hostname,
        retry=settings.retry,
        retry_on_timeout=settings.retry_on_timeout,
        retry_on_error=settings.retry_on_error,
        **login,
    ).connection_pool
    return WaitingPool(max_connections=most, connection_class=pool.connection_class, **pool.connection_kwargs)
