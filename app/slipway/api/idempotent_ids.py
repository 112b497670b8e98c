"""Ids of new records. A repeated request with the same idempotency key gets the same id."""

from __future__ import annotations

from starlette.requests import Request

from slipway.api.auth.authentication import USER_SCOPE_KEY
from slipway.api.shared_objects import services_of
from slipway.runs.idempotency import HEADER
from slipway.runs.record import new_id


async def idempotent_id(request: Request, index: int = 0) -> str:
    """The id of the record that this request creates. In a batch, `index` is the position of the record. Requests with
    the same idempotency key, user, path and body get the same id."""
    key = request.headers.get(HEADER)
    if key is None:
        return new_id()
    user = request.scope.get(USER_SCOPE_KEY)
    identity = None if user is None else user.identity  # the keys of two users must not collide
    body = await request.body()
    return await services_of(request).idempotency.record_id(key, identity, request.url.path, body, index)
