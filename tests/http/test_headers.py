"""Which headers of a request are forwarded to the config of a run."""

from __future__ import annotations

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
