"""Which URLs, headers and body members a webhook may have."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.official_sections import UrlSection, WebhooksSection
from slipway.webhooks.checked_address_transport import CheckedAddressTransport
from slipway.webhooks.record import Delivery
from slipway.webhooks.request_headers import headers_of
from slipway.webhooks.urls import NoAddress, UrlPolicy


@pytest.mark.parametrize(
    "url",
    [
        "/relative",
        "ftp://example.com/",
        "http://",
        "http://localhost/",
        "http://a.localhost./",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest",
        "http://100.64.0.1/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://224.0.0.1/",
        "http://example.com:99999/",
        "http://exa mple.com/",
        "http://example.com\\@127.0.0.1/",
        "http://user@127.0.0.1/",
    ],
)
def test_urls_that_are_rejected_by_default(url: str) -> None:
    with pytest.raises(InvalidRequest, match="webhook"):
        UrlPolicy(UrlSection()).check(url)


@pytest.mark.parametrize(
    ("settings", "allowed", "rejected"),
    [
        ({}, "http://example.com/a?b=c", "http://10.1.1.1/"),
        ({"require_https": True}, "https://example.com/", "http://example.com/"),
        ({"allowed_domains": ["*.example.com"]}, "http://a.example.com/", "http://example.com/"),
        ({"allowed_ports": [443]}, "https://example.com/", "http://example.com/"),
        ({"max_url_length": 30}, "http://example.com/", "http://example.com/" + "a" * 30),
        ({"disable_loopback": False}, "http://127.0.0.1/", "http://10.0.0.1/"),
        ({"disable_private_ips": False}, "http://10.0.0.1/", "http://127.0.0.1/"),
    ],
)
def test_the_settings_of_the_url_section(settings: dict[str, Any], allowed: str, rejected: str) -> None:
    policy = UrlPolicy(UrlSection(**settings))
    policy.check(allowed)
    with pytest.raises(InvalidRequest):
        policy.check(rejected)


async def test_a_name_that_resolves_to_a_private_address_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def private_address(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]

    policy = UrlPolicy(UrlSection())
    policy.check("http://rebound.example.com/")
    monkeypatch.setattr(socket, "getaddrinfo", private_address)
    async with httpx.AsyncClient(transport=CheckedAddressTransport(policy)) as client:
        with pytest.raises(NoAddress):
            await client.post("http://rebound.example.com/", content=b"")


async def test_a_run_with_a_forbidden_webhook_is_rejected(client: httpx.AsyncClient) -> None:
    for url in ("//10.0.0.1/", "http://10.0.0.1/"):
        response = await client.post("/runs", json={"assistant_id": "steps", "input": {}, "webhook": url})
        assert response.status_code == 422
        assert "webhook" in response.json()["detail"]


def test_headers_use_only_variables_with_the_prefix() -> None:
    def headers(text: str, **variables: str) -> dict[str, str]:
        section = WebhooksSection(headers={"x": text}, url=UrlSection(allowed_domains=["example.com"]))
        return headers_of(section, variables)

    assert headers("a ${{ env.LG_WEBHOOK_A }}!", LG_WEBHOOK_A="b") == {"x": "a b!"}
    with pytest.raises(ConfigError, match="must begin"):
        headers("${{env.REDIS_URL}}", REDIS_URL="hush")
    with pytest.raises(ConfigError, match="must begin"):
        headers("${{env.OTHER_LG_WEBHOOK_A}}", OTHER_LG_WEBHOOK_A="hush")
    with pytest.raises(ConfigError, match="not set"):
        headers("${{env.LG_WEBHOOK_A}}")
    with pytest.raises(ConfigError, match="header"):
        headers("${{env.LG_WEBHOOK_A}}", LG_WEBHOOK_A="a\r\nb")


@pytest.mark.parametrize(
    ("allowed", "sent"), [(None, {"status", "values", "webhook_sent_at"}), (["status"], {"status"}), ([], set())]
)
def test_only_allowed_fields_are_sent(allowed: list[str] | None, sent: set[str]) -> None:
    members: dict[str, Any] = {"status": "success", "values": {"card": "4111"}}
    delivery = Delivery("r", "r", "t", "https://example.com/", try_number=1, calls=1, body_members=members)
    assert json.loads(delivery.new_body(datetime.now(UTC), allowed)).keys() == sent
