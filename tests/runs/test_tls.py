"""Redis behind TLS: whose certificates are accepted, and what is said where a handshake fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.connection import Address, UntrustedCertificate
from slipway.redis.pipeline import Pipeline
from slipway.redis.wait_for_redis import problem_with
from slipway.settings import Settings
from tests.certificates import Certificate, self_signed
from tests.crash.tcp_proxy import TcpProxy


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return self_signed(tmp_path)


@pytest.fixture
async def tls_url(valkey_url: str, certificate: Certificate) -> AsyncIterator[str]:
    """The session's Valkey behind TLS."""
    async with TcpProxy(Path(valkey_url.removeprefix("unix://")), certificate.server()) as proxy:
        yield proxy.url


async def ping(url: str) -> Any:
    pipeline = Pipeline(Address(url), "test", patience_s=5)
    try:
        await pipeline.open()
        return await pipeline.send("PING", repeatable=True)
    finally:
        await pipeline.close()


async def test_a_certificate_is_checked_by_default(tls_url: str) -> None:
    with pytest.raises(UntrustedCertificate, match="SLIPWAY_REDIS_TLS_VERIFY=0"):
        await ping(Settings.load({"REDIS_URL": tls_url}).redis)


async def test_a_process_that_starts_does_not_wait_for_a_better_certificate(tls_url: str) -> None:
    with pytest.raises(ConfigError, match="SLIPWAY_REDIS_CA_FILE"):
        await problem_with(tls_url)


async def test_any_certificate_is_accepted_when_the_settings_say_so(tls_url: str) -> None:
    assert await ping(Settings.load({"REDIS_URL": tls_url, "SLIPWAY_REDIS_TLS_VERIFY": "0"}).redis) == b"PONG"


async def test_one_authority_is_trusted_where_its_file_is_named(tls_url: str, certificate: Certificate) -> None:
    settings = Settings.load({"REDIS_URL": tls_url, "SLIPWAY_REDIS_CA_FILE": str(certificate.file)})
    assert await ping(settings.redis) == b"PONG"
    with pytest.raises(UntrustedCertificate):
        await ping(settings.redis.replace("127.0.0.1", "localhost"))


def test_what_the_address_says_itself_stays(certificate: Certificate) -> None:
    own = "rediss://host?ssl_cert_reqs=none"
    assert Settings.load({"REDIS_URL": own, "SLIPWAY_REDIS_TLS_VERIFY": "0"}).redis == own
    plain = Settings.load({"REDIS_URL": "redis://host", "SLIPWAY_REDIS_TLS_VERIFY": "0"})
    assert plain.redis == "redis://host"


@pytest.mark.slow
async def test_tls_spoken_to_a_server_without_it(valkey_url: str) -> None:
    async with TcpProxy(Path(valkey_url.removeprefix("unix://"))) as proxy:
        with pytest.raises(StoreUnavailable, match=r"not speak TLS.* redis://"):
            await ping(proxy.url.replace("redis:", "rediss:"))


async def test_a_server_with_tls_spoken_to_without_it(tls_url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"only TLS \(rediss://\)"):
        await ping(tls_url.replace("rediss:", "redis:"))


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("no certificate", "no certificates in PEM")])
def test_a_file_of_authorities_that_is_none(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    settings = Settings.load({"REDIS_URL": "rediss://host", "SLIPWAY_REDIS_CA_FILE": str(file)})
    with pytest.raises(ConfigError, match=f"SLIPWAY_REDIS_CA_FILE: .*{said}"):
        Address(settings.redis)
