"""The secrets in `webhooks.headers` are sent to no other host: neither to a URL of a client nor by a redirect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.errors import ConfigError, InvalidRequest
from slipway.graphs.langgraph_json import read
from slipway.graphs.official_sections import UrlSection
from slipway.webhooks.delivery_policy import problem_of
from slipway.webhooks.urls import UrlPolicy
from tests.http.conftest import Served
from tests.waiting import Eventually
from tests.webhooks.conftest import Receiver, client, graphs, project, receiver, sdk, served, settings, worker

__all__ = ["client", "graphs", "project", "receiver", "sdk", "served", "settings", "worker"]

REDIRECT_PROBLEM = "HTTP 308 (redirects are not followed)"


def write_config(folder: Path, **webhooks: Any) -> Path:
    """Write a langgraph.json with this section `webhooks`."""
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"g": "./g.py:g"}, "webhooks": webhooks}))
    return file


def test_headers_without_allowed_domains_stop_the_start(tmp_path: Path) -> None:
    headers = {"authorization": "Bearer x"}
    with pytest.raises(ConfigError, match=r"webhooks: headers would .*set webhooks\.url\.allowed_domains"):
        read(write_config(tmp_path, headers=headers))
    for hosts in ([], ["hooks.example.com"]):
        assert read(write_config(tmp_path, headers=headers, url={"allowed_domains": hosts})).webhooks.headers == headers
    assert read(write_config(tmp_path)).webhooks.url.allowed_domains is None


@pytest.mark.parametrize(
    "name", ["*", "", "https://a.example", "a.example:443", "a.example/x", "a b", "*.", "u@a.example"]
)
def test_an_invalid_allowed_domain_stops_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"webhooks\.url\.allowed_domains\[0\]: .*hooks\.example\.com"):
        read(write_config(tmp_path, url={"allowed_domains": [name]}))


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("Hooks.Example.com.", "https://hooks.EXAMPLE.com/", "https://a.hooks.example.com/"),
        ("*.example.com", "https://a.b.example.com./", "https://example.com/"),
        ("example.com", "https://example.com:8443/x?y#z", "https://example.com.evil.example/"),
        ("example.com", "http://example.com/", "https://evilexample.com/"),
        ("bücher.example", "https://xn--bcher-kva.example/", "https://bucher.example/"),
        ("xn--bcher-kva.example", "https://BÜCHER.example/", "https://bücher.example.evil.example/"),
        ("93.184.216.34", "https://93.184.216.34/", "https://0x5db8d822/"),
        ("[2606:4700:0:0::1]", "https://[2606:4700::1]/", "https://[2606:4700::2]/"),
    ],
)
def test_different_spellings_of_a_host_are_equal(name: str, same: str, other: str) -> None:
    policy = UrlPolicy(UrlSection(allowed_domains=[name]))
    policy.check(same)
    with pytest.raises(InvalidRequest, match="allowed_domains"):
        policy.check(other)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com@evil.example/",
        "https://example.com:pw@evil.example/",
        "https://user:pw@example.com/",
        "https://evil.example#@example.com/",
        "https://evil.example?@example.com/",
        "https://evil.example\\@example.com/",
        "https://evil.example%2f.example.com/",
        "https://evil.example%00.example.com/",
        "https://evil。example/",  # a full stop of another alphabet, which some parsers treat as a dot
        "https:example.com",
        "https:///example.com",
        "HTTPS:\\\\example.com",
        "https://example.com:0/",
    ],
)
def test_an_ambiguous_url_is_rejected(url: str) -> None:
    with pytest.raises(InvalidRequest):
        UrlPolicy(UrlSection(allowed_domains=["example.com", "*.example.com"])).check(url)


async def test_a_host_that_is_not_allowed_is_rejected_with_the_run(client: httpx.AsyncClient) -> None:
    for path in ("/runs", "/runs/wait", "/runs/stream"):
        response = await client.post(path, json={"assistant_id": "steps", "webhook": "https://evil.example/hook"})
        assert (response.status_code, response.json()["field"]) == (422, "webhook"), path


@pytest.mark.usefixtures("worker")
async def test_a_redirect_is_not_followed(
    sdk: LangGraphClient, served: Served, receiver: Receiver, eventually: Eventually
) -> None:
    """Wherever it leads, also to the same server: what is signed is meant for the URL that was checked."""
    other = receiver.url.replace("localhost", "127.0.0.1")
    for location in (
        other,
        "http://10.0.0.1/",
        "//10.0.0.1/",
        "ftp://localhost/",
        "http://u:p@localhost/",
        "http://[",
        "/there",
    ):
        receiver.statuses = [f"308 Moved\r\nlocation: {location}", "200 OK"]
        receiver.headers.clear()
        thread = (await sdk.threads.create())["thread_id"]
        run_id = (await sdk.runs.create(thread, "steps", input={}, webhook=receiver.url))["run_id"]

        async def failed(run_id: str = run_id) -> bool:
            return (await served.services.runs.find(run_id)).webhook_problem is not None

        await eventually(failed)
        assert (await served.services.runs.find(run_id)).webhook_problem == REDIRECT_PROBLEM, location
        assert [headers["authorization"] for headers in receiver.headers] == ["Bearer hush"]


def test_the_problem_of_a_failed_delivery_names_no_address() -> None:
    cause = OSError("Connect call failed ('10.0.0.7', 80)")
    for error in (cause, httpx.ConnectError(str(cause)), httpx.ReadError(str(cause)), ValueError(str(cause))):
        assert "10.0.0.7" not in problem_of(error)
