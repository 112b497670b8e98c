"""Redis behind TLS: which certificates are accepted, and the errors of a failed handshake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from arq.connections import create_pool
from redis.exceptions import ConnectionError

from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.connection import CONNECT_TIMEOUT_S, Address, UntrustedCertificate
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.wait_for_redis import problem_with
from slipway.settings import Settings
from slipway_workers.arq_redis_settings import arq_redis_settings
from tests.certificates import Certificate, self_signed
from tests.proxy import tcp_proxied


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path)


@pytest.fixture
async def tls_url(valkey_url: str, certificate: Certificate) -> AsyncIterator[str]:
    """The URL of a TLS proxy before the session's Valkey."""
    async with tcp_proxied(valkey_url, certificate.server()) as proxy:
        yield proxy.url


async def ping(url: str, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> Any:
    pipeline = ServerPipeline(Address(url), "test", patience_s=5, connect_timeout_s=connect_timeout_s)
    try:
        await pipeline.open()
        return await pipeline.send("PING", repeatable=True)
    finally:
        await pipeline.close()


async def test_a_certificate_is_verified_by_default(tls_url: str) -> None:
    with pytest.raises(UntrustedCertificate, match="SLIPWAY_REDIS_TLS_VERIFY=0"):
        await ping(Settings.load({"REDIS_URL": tls_url}).redis)


async def test_a_start_fails_at_once_when_the_certificate_is_not_trusted(tls_url: str) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_REDIS_CA_FILE"):
        await problem_with(tls_url)


async def test_any_certificate_is_accepted_without_redis_tls_verify(tls_url: str) -> None:
    assert await ping(Settings.load({"REDIS_URL": tls_url, "SLIPWAY_REDIS_TLS_VERIFY": "0"}).redis) == b"PONG"


async def test_the_authority_in_redis_ca_file_is_trusted(tls_url: str, certificate: Certificate) -> None:
    settings = Settings.load({"REDIS_URL": tls_url, "SLIPWAY_REDIS_CA_FILE": str(certificate.file)})
    assert await ping(settings.redis) == b"PONG"
    with pytest.raises(UntrustedCertificate):
        await ping(settings.redis.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("variable", ["SLIPWAY_REDIS_CA_FILE", "SLIPWAY_REDIS_TLS_VERIFY"])
async def test_arq_accepts_the_same_certificates(tls_url: str, certificate: Certificate, variable: str) -> None:
    """`arq --check` connects with these settings."""
    value = str(certificate.file) if variable == "SLIPWAY_REDIS_CA_FILE" else "0"
    url = tls_url.replace("rediss://", "rediss://default:@") + "/3"
    redis_settings = arq_redis_settings(Settings.load({"REDIS_URL": url, variable: value}))
    assert (redis_settings.username, redis_settings.database) == ("default", 3)
    redis = await create_pool(replace(redis_settings, username=None, password=None, conn_retries=0))
    assert await redis.ping()
    await redis.aclose()
    strict = arq_redis_settings(Settings.load({"REDIS_URL": tls_url}))
    with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        await create_pool(replace(strict, conn_retries=0))


def test_tls_options_of_the_address_have_precedence(certificate: Certificate) -> None:
    url = "rediss://host?ssl_cert_reqs=none"
    assert Settings.load({"REDIS_URL": url, "SLIPWAY_REDIS_TLS_VERIFY": "0"}).redis == url
    plain = Settings.load({"REDIS_URL": "redis://host", "SLIPWAY_REDIS_TLS_VERIFY": "0"})
    assert plain.redis == "redis://host"


async def test_a_tls_handshake_with_a_server_without_tls_names_the_fix(valkey_url: str) -> None:
    async with tcp_proxied(valkey_url) as proxy:
        with pytest.raises(StoreUnavailable, match=r"not speak TLS.* redis://"):
            await ping(proxy.url.replace("redis:", "rediss:"), connect_timeout_s=0.2)  # Redis never replies


async def test_a_plain_connection_to_a_server_with_tls_names_the_fix(tls_url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"only TLS \(rediss://\)"):
        await ping(tls_url.replace("rediss:", "redis:"))


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "No such file"), ("not a certificate", "no certificates in PEM")]
)
def test_a_wrong_redis_ca_file_is_an_error(tmp_path: Path, content: str | None, expected: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = Settings.load({"REDIS_URL": "rediss://host", "SLIPWAY_REDIS_CA_FILE": str(file)})
    with pytest.raises(ConfigError, match=f"SLIPWAY_REDIS_CA_FILE: .*{expected}"):
        Address(settings.redis)
