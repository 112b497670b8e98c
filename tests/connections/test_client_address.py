"""The address of a client behind proxies."""

from __future__ import annotations

from typing import Any, Final

import pytest
from starlette.types import Receive, Scope, Send

from slipway.api.middleware.client_address import ClientAddress
from slipway.errors import ConfigError
from slipway.settings import Settings

PROXIES: Final = "10.0.0.0/8, 2001:db8:1::/48"
Headers = dict[str, str]


async def seen(
    client: str, headers: Headers, reads: str = "x-forwarded-for", proxies: str = PROXIES
) -> tuple[str, str]:
    """The address and the scheme that the application finds in a request."""
    settings = Settings.from_values({"trusted_proxies": proxies, "proxy_header": reads})
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "scheme": "http", "client": (client, 1), "headers": pairs}
    await ClientAddress(app, settings.trusted_proxies, settings.proxy_header)(scope, nothing, nothing)
    return found[0]["client"][0], found[0]["scheme"]


@pytest.mark.parametrize(
    ("client", "headers", "expected"),
    [
        ("192.0.2.1", {"x-forwarded-for": "198.51.100.1", "x-forwarded-proto": "https"}, ("192.0.2.1", "http")),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1", "x-forwarded-proto": "https"}, ("198.51.100.1", "https")),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1, 10.0.0.2"}, ("198.51.100.1", "http")),
        ("10.0.0.1", {"x-forwarded-for": "127.0.0.1, 198.51.100.1"}, ("198.51.100.1", "http")),
        ("10.0.0.1", {"x-forwarded-for": "127.0.0.1, nonsense, 10.0.0.2"}, ("10.0.0.2", "http")),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1:4711"}, ("198.51.100.1", "http")),
        ("10.0.0.1", {"x-forwarded-for": "[2001:db8::7]:4711"}, ("2001:db8::7", "http")),
        ("2001:db8:1::9", {"x-forwarded-for": "2001:db8::7"}, ("2001:db8::7", "http")),
        ("::ffff:10.0.0.1", {"x-forwarded-for": "198.51.100.1"}, ("198.51.100.1", "http")),
        ("10.0.0.1", {"x-forwarded-for": "unknown"}, ("10.0.0.1", "http")),
        ("10.0.0.1", {"x-forwarded-proto": "https"}, ("10.0.0.1", "https")),
        ("10.0.0.1", {"x-forwarded-proto": "gopher"}, ("10.0.0.1", "http")),
        ("10.0.0.1", {}, ("10.0.0.1", "http")),
    ],
)
async def test_an_address_is_believed_from_trusted_proxies_only(
    client: str, headers: Headers, expected: tuple[str, str]
) -> None:
    assert await seen(client, headers) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=198.51.100.1;proto=https", ("198.51.100.1", "https")),
        ('for="[2001:db8::7]:4711";proto=http', ("2001:db8::7", "http")),
        ("For=127.0.0.1, for=198.51.100.1;by=10.0.0.9", ("198.51.100.1", "http")),
        ("for=_hidden", ("10.0.0.1", "http")),
        ('for="127.0.0.1, for=198.51.100.1', ("198.51.100.1", "http")),
    ],
)
async def test_only_the_header_of_the_setting_is_read(value: str, expected: tuple[str, str]) -> None:
    headers = {"forwarded": value, "x-forwarded-for": "203.0.113.9"}
    assert await seen("10.0.0.1", headers, "forwarded") == expected
    assert await seen("10.0.0.1", headers) == ("203.0.113.9", "http")


async def test_nothing_is_believed_by_default() -> None:
    assert Settings().trusted_proxies == ()
    assert await seen("127.0.0.1", {"x-forwarded-for": "198.51.100.1"}, proxies="") == ("127.0.0.1", "http")


def test_a_network_that_is_none_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"SLIPWAY_TRUSTED_PROXIES.*'proxy.internal' is not an address"):
        Settings.from_values({"trusted_proxies": "10.0.0.0/8,proxy.internal"})
