"""The audit trail of a run, for operators."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import operators
from slipway.api.endpoints import Endpoint, Query, int_param
from slipway.api.request_parsing import path_id, query_number
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.errors import InvalidRequest, NotFound
from slipway.runs.audit import MOST_ENTRIES

_ENTRY_ID: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")


async def read(request: Request) -> Response:
    """A page of the entries of a run, the oldest first. `next` is the value of `after` for the next page, null at the
    end."""
    services, run_id = services_of(request), path_id(request, "run_id")
    limit, after = query_number(request, "limit", 100, 1, MOST_ENTRIES), request.query_params.get("after") or ""
    if after and not _ENTRY_ID.fullmatch(after):
        raise InvalidRequest("after", "is not the member `next` of a page")
    entries = await services.audit.read(run_id, after=after, limit=limit)
    if not entries and await services.runs.thread_of(run_id) is None:
        raise NotFound("run", run_id)
    following = entries[-1].entry_id if len(entries) == limit else None
    return JsonResponse({"entries": [entry.public() for entry in entries], "next": following})


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/ops/runs/{run_id}/audit",
        read,
        "Read the audit trail of a run",
        operators(OPERATE),
        query=(int_param("limit", 100, 1, MOST_ENTRIES), Query("after", {"type": "string"}, "`next` of a page")),
    ),
)
