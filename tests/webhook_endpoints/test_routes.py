"""Webhook endpoints over HTTP, as administrators add and change them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from slipway.errors import InvalidRequest
from slipway.graphs.official_sections import UrlSection
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from slipway.webhook_endpoints.url_check import EndpointUrlCheck
from slipway.webhooks.new_run_webhook_check import NewRunWebhookCheck
from slipway.webhooks.urls import UrlPolicy
from tests.http.conftest import Served, client, served

__all__ = ["client", "served"]

PATH: Final = "/ops/webhooks"
URL: Final = "https://hooks.example.com/slipway"
GRAPHS: Final = Path(__file__).parents[1] / "http" / "project" / "graphs.py"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A langgraph.json that restricts the hosts of webhooks, and replaces members called `secret` in responses."""
    folder = tmp_path_factory.mktemp("webhook_endpoints")
    (folder / "endpoint_graphs.py").write_bytes(GRAPHS.read_bytes())
    document = {
        "graphs": {name: f"./endpoint_graphs.py:{name}" for name in ("steps", "ask")},
        "webhooks": {"url": {"require_https": True, "allowed_domains": ["*.example.com"]}},
        "slipway": {"redaction": {"keys": ["secret"]}},
    }
    (folder / "langgraph.json").write_text(json.dumps(document))
    return folder / "langgraph.json"


@pytest.fixture(scope="module")
def graphs(project: Path) -> Registry:
    return asyncio.run(Registry.load(project))


@pytest.fixture
def settings(valkey_url: str, keys: Keys, project: Path) -> Settings:
    return Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": project})


async def send(client: httpx.AsyncClient, method: str, path: str, status: int = 200, **options: Any) -> Any:
    response = await client.request(method, path, **options)
    assert response.status_code == status, response.text
    return response.json()


async def test_an_endpoint_is_added_changed_and_removed(client: httpx.AsyncClient) -> None:
    body = {"url": URL, "types": ["run.failed"], "graphs": ["steps"], "owner": "acme", "description": "alerts"}
    added = await send(client, "POST", PATH, json=body)
    assert (added["secret"], added["state"], added["format"], added["concurrency"]) == (None, "enabled", "thin", 4)
    assert added["keys"][0]["public_key"].startswith("whpk_")
    one = f"{PATH}/{added['endpoint_id']}"
    del added["secret"]
    assert await send(client, "GET", one) == added
    listed = await send(client, "GET", PATH)
    assert listed["endpoints"] == [added]
    assert {"run.completed", "run.*", "*"} <= set(listed["types"])

    changed = await send(client, "PATCH", one, json={"types": ["run.*"], "graphs": [], "owner": None, "format": "full"})
    assert (changed["types"], changed["graphs"], changed["owner"], changed["format"]) == (["run.*"], None, None, "full")
    assert (changed["url"], changed["description"]) == (URL, "alerts")
    rotated = await client.post(f"{one}/rotate", json={"key_kind": "v1", "overlap_s": 60})
    assert rotated.json()["secret"].startswith("whsec_"), "no rule of the project replaces the only copy"
    assert rotated.headers["cache-control"] == "no-store"
    assert [key["kind"] for key in rotated.json()["keys"]] == ["v1", "v1a"]
    assert "secret" not in await send(client, "GET", one)
    disabled = await send(client, "POST", f"{one}/disable", json={"reason": "noise"})
    assert (disabled["state"], disabled["disabled_reason"]) == ("disabled", "disabled by anonymous: noise")
    refused = await send(client, "POST", f"{one}/test", 409)
    assert "is disabled" in refused["detail"]
    assert (await send(client, "POST", f"{one}/enable"))["state"] == "enabled"
    assert (await send(client, "POST", f"{one}/test"))["delivery_id"].startswith("msg_")
    assert await send(client, "DELETE", one) == {"ok": True}
    assert "not found" in (await send(client, "GET", one, 404))["detail"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"types": ["*"]}, "url: is missing"),
        ({"url": URL}, "types: is missing"),
        ({"url": URL, "types": []}, "types: name at least one type of events"),
        ({"url": URL, "types": ["run"]}, "types: unknown type 'run'; did you mean 'run.*'?"),
        ({"url": URL, "types": "run.*"}, "types"),
        ({"url": "http://hooks.example.com/", "types": ["*"]}, "url: must be https"),
        ({"url": "https://127.0.0.1/", "types": ["*"]}, "url: host 127.0.0.1 is not among"),
        ({"url": "https://evil.test/", "types": ["*"]}, "url: host evil.test is not among"),
        ({"url": "https://a:b@hooks.example.com/", "types": ["*"]}, "url: must not contain a user name"),
        ({"url": "here", "types": ["*"]}, "url: must be an absolute URL"),
        ({"url": URL, "types": ["*"], "owner": ""}, "owner: is empty: name an owner"),
        ({"url": URL, "types": ["*"], "owner": "a.b"}, "owner: must be printable"),
        ({"url": URL, "types": ["*"], "owner": "a" * 129}, "owner: must have 1 to 128 characters"),
        ({"url": URL, "types": ["*"], "graphs": ["stepz"]}, "graphs: there is no graph 'stepz'; did you mean 'steps'?"),
        ({"url": URL, "types": ["*"], "format": "fat"}, "format"),
        ({"url": URL, "types": ["*"], "key_kind": "v2"}, "key_kind"),
        ({"url": URL, "types": ["*"], "secret": "hush"}, "secret: must be whsec_"),
        ({"url": URL, "types": ["*"], "concurrency": 0}, "concurrency: must be between 1 and 64"),
        ({"url": URL, "types": ["*"], "graph": "steps"}, "graph"),
        ({"url": URL, "types": ["*"], "owner": "a\u0000b"}, "owner"),
    ],
)
async def test_a_bad_body_names_the_field(client: httpx.AsyncClient, body: dict[str, Any], problem: str) -> None:
    rejected = await send(client, "POST", PATH, 422, json=body)
    assert problem in rejected["detail"]
    assert rejected["field"] == problem.partition(":")[0]
    assert "hush" not in json.dumps(rejected), "a secret is not shown"
    assert (await send(client, "GET", PATH))["endpoints"] == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"owner": ""}, "owner: is empty: name an owner"),
        ({"owner": "*"}, "owner: must be printable"),
        ({"description": "more", "owner": ""}, "owner: is empty"),
        (
            {"url": "/threads/t/copy"},
            "url: must be an absolute URL with http or https: a path of this deployment can be",
        ),
        ({}, "the body must name at least one member to change"),
        ({"url": None}, "the body must name at least one member to change"),
    ],
)
async def test_a_change_that_is_not_possible_changes_nothing(
    client: httpx.AsyncClient, body: dict[str, Any], problem: str
) -> None:
    added = await send(client, "POST", PATH, json={"url": URL, "types": ["*"], "owner": "acme"})
    one = f"{PATH}/{added['endpoint_id']}"
    before = await send(client, "GET", one)
    assert problem in (await send(client, "PATCH", one, 422, json=body))["detail"]
    assert await send(client, "GET", one) == before
    assert (await send(client, "PATCH", one, json={"owner": None}))["owner"] is None


async def test_a_path_of_this_deployment_is_no_endpoint_even_if_loopback_is_allowed(
    client: httpx.AsyncClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.services.webhook_urls, "section", UrlSection(disable_loopback=False))
    body = {"url": "/threads/t/copy", "types": ["*"], "owner": "acme"}
    rejected = await send(client, "POST", PATH, 422, json=body)
    assert rejected["field"] == "url"
    assert "can be the `webhook` of a run, not an endpoint" in rejected["detail"]
    assert (await send(client, "GET", PATH))["endpoints"] == []
    assert (await send(client, "POST", PATH, json=body | {"url": "http://127.0.0.1:1/"}))["state"] == "enabled"


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("http://10.0.0.1/", "10.0.0.1 is private, which webhooks.url.disable_private_ips of langgraph.json forbids"),
        (
            "http://127.0.0.1/",
            "127.0.0.1 is this machine, which webhooks.url.disable_loopback of langgraph.json forbids",
        ),
        (
            "http://localhost/",
            "localhost is this machine, which webhooks.url.disable_loopback of langgraph.json forbids",
        ),
        ("http://metadata.goog/", "metadata.goog is private, which webhooks.url.disable_private_ips of langgraph.json"),
    ],
)
def test_the_error_about_an_address_names_the_setting(url: str, setting: str) -> None:
    check = EndpointUrlCheck(NewRunWebhookCheck(UrlPolicy(UrlSection()), disabled=False))
    with pytest.raises(InvalidRequest, match=f"^url: {setting}"):
        check(url)
