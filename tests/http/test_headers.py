"""Which headers of a request are forwarded to the config of a run."""

from __future__ import annotations

import httpx
import pytest

from slipway.api.header_policy import forwarded_headers
from slipway.graphs.official_sections import HeadersSection

SENT = [("x-tour", "1"), ("cookie", "c"), ("proxy-authorization", "p"), ("authorization", "a"), ("x-api-key", "k")]


@pytest.mark.parametrize(
    ("includes", "excludes", "forwarded"),
    [
        ([], [], set()),
        (["*"], [], {"x-tour"}),
        (["*"], ["x-*"], set()),
        (["X-Tour"], [], {"x-tour"}),
        (["*"], ["X-Tour"], set()),
        (["co*", "*-authorization"], [], set()),
        (["Cookie", "authorization", "proxy-authorization", "x-api-key"], [], set()),
    ],
)
def test_credentials_are_never_forwarded(includes: list[str], excludes: list[str], forwarded: set[str]) -> None:
    assert set(forwarded_headers(SENT, HeadersSection(includes=includes, excludes=excludes))) == forwarded


@pytest.mark.parametrize("path", ["/ok", "/info", "/openapi.json", "/threads/nowhere", "/nowhere", "/metrics"])
async def test_responses_that_are_data_cannot_be_shown_as_pages(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_rejections_before_the_application_have_the_type_that_they_name(client: httpx.AsyncClient) -> None:
    rejected = await client.get("/info", headers={"origin": "https://evil.example"})
    assert rejected.status_code == 403
    assert rejected.headers["x-content-type-options"] == "nosniff"
