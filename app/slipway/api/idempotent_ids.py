"""Chooses the id of the record that a request creates: a new id, or the id that belongs to its idempotency key."""

from __future__ import annotations

from starlette.requests import Request

from slipway.access.users import User, owner_of_user
from slipway.api.auth.authentication import USER_SCOPE_KEY
from slipway.api.shared_objects import services_of
from slipway.runs.idempotency import HEADER
from slipway.runs.record import new_id


async def idempotent_id(request: Request, index: int = 0) -> str:
    """Returns a new id for a request without an idempotency key. Requests with the same key, user or owner, path
    and body get the same id, so a repeated request finds the record of the first. `index` is the position of the record
    in a batch. Raises `InvalidRequest` if the key was used with another body."""
    key = request.headers.get(HEADER)
    if key is None:
        return new_id()
    body = await request.body()
    sender = _sender(request.scope.get(USER_SCOPE_KEY))
    return await services_of(request).idempotency.record_id(key, sender, request.url.path, body, index)


def _sender(user: User | None) -> str | None:
    """Whose idempotency keys are the same: those of one owner, else those of one user. No identity of a user begins
    with NUL, so the keys of an owner and of a user cannot collide."""
    owner = owner_of_user(user)
    if owner is not None:
        return f"\0owner:{owner}"
    return None if user is None else user.identity
