"""Which headers of a request go further than the request."""

from __future__ import annotations

import pytest

from slipway.api.header_policy import forwarded_headers
from slipway.graphs.official_sections import HeadersSection

SENT = [("x-tour", "1"), ("cookie", "c"), ("proxy-authorization", "p"), ("authorization", "a"), ("x-api-key", "k")]


@pytest.mark.parametrize(
    ("includes", "excludes", "found"),
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
def test_credentials_are_never_forwarded(includes: list[str], excludes: list[str], found: set[str]) -> None:
    assert set(forwarded_headers(SENT, HeadersSection(includes=includes, excludes=excludes))) == found
