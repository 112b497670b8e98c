"""The address of Redis as arq expects it."""

from __future__ import annotations

from typing import Any

from arq.connections import RedisSettings
from redis.asyncio.connection import parse_url

from slipway.errors import ConfigError
from slipway.redis.connection import Address
from slipway.settings import Settings

_CONNECT_TIMEOUT_S = 5


def arq_redis_settings(settings: Settings) -> RedisSettings:
    """The server, the credentials and the checks of the certificate that all processes of the deployment use. Raises
    `ConfigError`."""
    address = Address(settings.redis)
    if address.is_cluster:
        raise ConfigError("arq's command line cannot use a Redis Cluster: start workers with `slipway worker`")
    parts: dict[str, Any] = dict(parse_url(settings.redis))
    checks = str(parts.get("ssl_cert_reqs", "required")).lower().removeprefix("cert_")
    return RedisSettings(
        host=address.host,
        port=address.port,
        unix_socket_path=address.path,
        database=address.database,
        username=address.username,
        password=address.password,
        ssl=address.tls is not None,
        ssl_cert_reqs=checks,
        ssl_ca_certs=parts.get("ssl_ca_certs"),
        ssl_check_hostname=checks == "required",
        conn_timeout=_CONNECT_TIMEOUT_S,
    )
