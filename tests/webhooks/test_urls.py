"""Where webhooks may go, and what their headers may hold."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.official_sections import UrlSection, WebhooksSection
from slipway.webhooks.record import Delivery
from slipway.webhooks.request_headers import headers_of, secret_of
from slipway.webhooks.urls import NoAddress, UrlPolicy
from slipway_workers.duties.deliveries import CheckedAddressTransport


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
def test_refused_by_default(url: str) -> None:
    with pytest.raises(InvalidRequest, match="webhook"):
        UrlPolicy(UrlSection()).check(url)


@pytest.mark.parametrize(
    ("differs", "allowed", "refused"),
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
def test_what_the_section_says(differs: dict[str, Any], allowed: str, refused: str) -> None:
    policy = UrlPolicy(UrlSection(**differs))
    policy.check(allowed)
    with pytest.raises(InvalidRequest):
        policy.check(refused)


async def test_a_name_that_leads_inside_is_found_out_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def rebound(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]

    policy = UrlPolicy(UrlSection())
    policy.check("http://rebound.example.com/")
    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    async with httpx.AsyncClient(transport=CheckedAddressTransport(policy)) as client:
        with pytest.raises(NoAddress):
            await client.post("http://rebound.example.com/", content=b"")


async def test_the_api_refuses_such_a_run(client: httpx.AsyncClient) -> None:
    for url in ("//10.0.0.1/", "http://10.0.0.1/"):
        answer = await client.post("/runs", json={"assistant_id": "steps", "input": {}, "webhook": url})
        assert answer.status_code == 422
        assert "webhook" in answer.json()["detail"]


def test_headers_take_only_variables_meant_for_them() -> None:
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


def test_secrets() -> None:
    assert secret_of("plain") == b"plain"
    assert secret_of("whsec_YWJj") == b"abc"
    with pytest.raises(ConfigError, match="SLIPWAY_WEBHOOK_SECRET"):
        secret_of("whsec_!")


@pytest.mark.parametrize(
    ("allowed", "sent"), [(None, {"status", "values", "webhook_sent_at"}), (["status"], {"status"}), ([], set())]
)
def test_only_fields_that_are_allowed_are_sent(allowed: list[str] | None, sent: set[str]) -> None:
    members: dict[str, Any] = {"status": "success", "values": {"card": "4111"}}
    delivery = Delivery("r", "r", "t", "https://example.com/", try_number=1, body_members=members)
    assert json.loads(delivery.body(datetime.now(UTC), allowed)).keys() == sent
