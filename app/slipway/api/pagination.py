"""Pages of a list: the response is a JSON array, and headers have the total and the next offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from slipway.api.responses import JsonResponse
from slipway.indexes.search import Found


def selected(objects: list[dict[str, Any]], select: Sequence[str] | None) -> list[dict[str, Any]]:
    """The objects with only the fields in `select`; empty or None selects all."""
    return [{name: each.get(name) for name in select} for each in objects] if select else objects


def completeness(*, complete: bool) -> dict[str, str]:
    """The header of a search that stopped at its limit: more objects may match than the response has or counts."""
    return {} if complete else {"x-search-incomplete": "true"}


def paged(objects: list[dict[str, Any]], *, offset: int, limit: int, total: int, complete: bool = True) -> Response:
    """One page. `X-Pagination-Next` is set only if more objects follow. `complete`: see `completeness`."""
    headers = {"x-pagination-total": str(total)} | completeness(complete=complete)
    if offset + limit < total:
        headers["x-pagination-next"] = str(offset + limit)
    return JsonResponse(objects, headers=headers)


def page_of(found: Found[Any], objects: list[dict[str, Any]], *, offset: int, limit: int) -> Response:
    """A page of a search that wanted one record more than `limit`, which tells whether there is a next page. `objects`
    are those of the page."""
    total = offset + len(found.records)
    return paged(objects, offset=offset, limit=limit, total=total, complete=found.complete)
