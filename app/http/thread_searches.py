"""What a search for threads looks for, once the authorize handler of `threads:search` has left its mark on it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from uuid import UUID

from starlette.requests import Request

from app.http.access import permit
from app.http.bodies import ThreadSearchBody
from app.http.permits import left
from app.threads.threads import Wanted


async def permitted_search(request: Request, body: ThreadSearchBody) -> tuple[ThreadSearchBody, Wanted]:
    """The search as the handler leaves it, and what it finds. Raises `AccessRefused` and `AuthBroken`."""
    value: dict[str, Any] = {
        "metadata": deepcopy(body.metadata or {}),
        "values": deepcopy(body.values or {}),
        "status": body.status,
        "ids": None if body.ids is None else [UUID(each) for each in body.ids],
        "thread_id": None,
        "limit": body.limit,
        "offset": body.offset,
    }
    only = await permit(request, "threads:search", value)
    body = left(
        request,
        "threads:search",
        body,
        metadata=value.get("metadata") or None,
        values=value.get("values") or None,
        status=value.get("status"),
        ids=_ids_left(value),
        limit=value.get("limit"),
        offset=value.get("offset"),
    )
    return body, Wanted(
        ids=body.ids, metadata=body.metadata or None, values=body.values or None, status=body.status, only=only
    )


def _ids_left(value: dict[str, Any]) -> Any:
    """The threads that are searched among: by `ids`, and by the one `thread_id` where the handler names one."""
    ids, one = value.get("ids"), value.get("thread_id")
    if one is None:
        return ids
    return [one] if ids is None or str(one) in map(str, ids) else []
