"""The permissions of one user: calls the auth file, operation by operation.

The API authorizes the operations of a request for its user (`api.auth.access_check`). Background work, such as a cron
or the start of a run, authorizes its operations for the user on whose behalf it acts (`permissions_of`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from slipway.access.access_control import AccessControl
from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.base import HandlerValue, Operation
from slipway.access.users import User
from slipway.errors import AccessRefused, AuthBroken

_Value = TypeVar("_Value", bound=HandlerValue)

HANDLER_TIMEOUT_S: Final = 10.0
"""The longest time that an authorize handler may take in background work. A request has no such limit: its client can
disconnect."""
_FORBIDDEN: Final = 403
_SERVER_FAULT: Final = 500


class Permissions:
    """The permissions of `user`. Without `auth` every operation is allowed: the deployment has no auth file, or the
    project's own code acts. `within_s` limits the time of an authorize handler."""

    __slots__ = ("_within_s", "auth", "user")

    def __init__(self, auth: AccessControl | None, user: User | None, within_s: float | None = None) -> None:
        self.auth, self.user, self._within_s = auth, user, within_s

    async def authorize(self, value: _Value) -> tuple[_Value, AccessFilter]:
        """Returns the value with the changes of the authorize handler, and the filter that the records of the operation
        must match. Raises `AccessRefused` and `AuthBroken`."""
        operation = value.OPERATION
        self.mark_authorized(operation)
        if self.auth is None:
            return value, MATCH_ALL
        assert self.user is not None
        resource, _, action = operation.partition(":")
        if not self.auth.handles(self.user, resource, action):
            return value, MATCH_ALL
        data = value.to_handler()
        try:
            async with asyncio.timeout(self._within_s):
                access_filter = await self.auth.authorize(self.user, resource, action, data)
        except TimeoutError as error:
            raise AuthBroken(
                f"the authorize handler of {operation} did not finish within {self._within_s} s"
            ) from error
        changed = value.from_handler(data)
        return changed, access_filter & changed.record_filter()

    def mark_authorized(self, operation: Operation) -> None:
        """Called for each operation that is authorized, and for those that need no authorization in this case. The
        access check of a request counts them."""


def permissions_of(auth: AccessControl | None, user: Mapping[str, Any] | None) -> Permissions:
    """The permissions for background work. `user` is a stored user (`User.stored`); None if the project's own code
    started the work or the deployment had no auth file then: everything is allowed."""
    return Permissions(None, None) if user is None else Permissions(auth, User(user), HANDLER_TIMEOUT_S)


def all_permissions_of(
    auth: AccessControl | None, user: Mapping[str, Any] | None, changed_by: Sequence[Mapping[str, Any]]
) -> list[Permissions]:
    """The permissions of every user who must be authorized for a run, its own user first."""
    return [permissions_of(auth, each) for each in (user, *changed_by)]


def is_handler_failure(error: Exception) -> bool:
    """Whether the auth file failed. False for a denial. After a failure, background work tries again later."""
    return isinstance(error, AuthBroken) or (isinstance(error, AccessRefused) and error.status >= _SERVER_FAULT)


def require_match(access_filter: AccessFilter, metadata: Mapping[str, Any], operation: Operation) -> None:
    """Raises `AccessRefused` when the metadata of a new record does not match the filter that the authorize handler of
    `operation` returned."""
    if not access_filter.matches(metadata):
        raise AccessRefused(_FORBIDDEN, f"the metadata of the new record does not match the filter of {operation}")
