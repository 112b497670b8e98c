"""Lists in pages: a bare array, and headers that tell how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from slipway.api.responses import JsonResponse


def selected(shown: list[dict[str, Any]], select: Sequence[str] | None) -> list[dict[str, Any]]:
    """Objects with only the fields asked for."""
    return [{name: one.get(name) for name in select} for one in shown] if select else shown


def paged(shown: list[dict[str, Any]], *, offset: int, limit: int, total: int) -> Response:
    """A page. `X-Pagination-Next` is there only when there is more."""
    headers = {"x-pagination-total": str(total)}
    if offset + limit < total:
        headers["x-pagination-next"] = str(offset + limit)
    return JsonResponse(shown, headers=headers)
