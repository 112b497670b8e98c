"""Pages of a list and selected fields."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.api.pagination import paged, selected


@pytest.mark.parametrize(
    ("offset", "limit", "total", "next_offset"),
    [(0, 2, 3, "2"), (2, 2, 3, None), (0, 3, 3, None), (3, 3, 6, None), (3, 2, 6, "5"), (0, 10, 0, None)],
)
def test_every_page_except_the_last_has_the_offset_of_the_next(
    offset: int, limit: int, total: int, next_offset: str | None
) -> None:
    headers = paged([], offset=offset, limit=limit, total=total).headers
    assert (headers.get("x-pagination-next"), headers["x-pagination-total"]) == (next_offset, str(total))


def test_only_selected_fields_are_returned() -> None:
    records: list[dict[str, Any]] = [{"a": 1, "b": None}, {"a": 2}]
    assert selected(records, None) == selected(records, []) == records
    assert selected(records, ["b", "a"]) == [{"b": None, "a": 1}, {"b": None, "a": 2}]
