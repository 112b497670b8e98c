"""What one caller may do: the auth file, asked operation by operation. Requests ask it at their gate, and what works
in the background asks for the user it works for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from slipway.access.auth_file import AuthFile
from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.base import HandlerValue, Operation
from slipway.access.users import User
from slipway.errors import AccessRefused, AuthBroken

_Value = TypeVar("_Value", bound=HandlerValue)

HANDLER_TIMEOUT_S: Final = 10.0
"""How long a handler may take that is asked in the background, where nobody waits who could give up."""
_FORBIDDEN: Final = 403
_SERVER_FAULT: Final = 500


class Permissions:
    """Those of `user`. Without `auth` everything is allowed: there is no auth file, or nobody in particular asks (the
    graphs' own client). With `within_s` a handler may take no longer to answer."""

    __slots__ = ("_within_s", "auth", "user")

    def __init__(self, auth: AuthFile | None, user: User | None, within_s: float | None = None) -> None:
        self.auth, self.user, self._within_s = auth, user, within_s

    async def authorize(self, value: _Value) -> tuple[_Value, AccessFilter]:
        """What is to be done, as the authorize handler leaves it, and the records that the user may do it to. Raises
        `AccessRefused` or `AuthBroken`."""
        operation = value.OPERATION
        self.mark_authorized(operation)
        if self.auth is None:
            return value, MATCH_ALL
        assert self.user is not None
        resource, _, action = operation.partition(":")
        if not self.auth.handles(resource, action):
            return value, MATCH_ALL
        shown = value.to_handler()
        try:
            async with asyncio.timeout(self._within_s):
                only = await self.auth.authorize(self.user, resource, action, shown)
        except TimeoutError as error:
            raise AuthBroken(
                f"the authorize handler of {operation} gave no answer within {self._within_s} s"
            ) from error
        left = value.from_handler(shown)
        return left, only & left.record_filter()

    def mark_authorized(self, operation: Operation) -> None:
        """It is asked for now, or need not be."""


def permissions_of(auth: AuthFile | None, user: Mapping[str, Any] | None) -> Permissions:
    """Those of a stored user (`User.stored`), for what works in the background. Who is nobody is the project's own
    code, or was there before the auth file: everything is allowed."""
    return Permissions(None, None) if user is None else Permissions(auth, User(user), HANDLER_TIMEOUT_S)


def all_permissions_of(
    auth: AuthFile | None, user: Mapping[str, Any] | None, changed_by: Sequence[Mapping[str, Any]]
) -> list[Permissions]:
    """Those of everybody who must be allowed a run: the user that it is for comes first."""
    return [permissions_of(auth, each) for each in (user, *changed_by)]


def is_handler_failure(error: Exception) -> bool:
    """Whether the auth file has failed rather than refused: what works in the background asks again."""
    return isinstance(error, AuthBroken) or (isinstance(error, AccessRefused) and error.status >= _SERVER_FAULT)


def require_match(only: AccessFilter, metadata: Mapping[str, Any], operation: Operation) -> None:
    """A record that is made must be among those that its maker may make: `AccessRefused` when its metadata does not
    fit the filter that the handler of `operation` answered with."""
    if not only.matches(metadata):
        raise AccessRefused(
            _FORBIDDEN, f"the filter of {operation} excludes what would be made: its metadata does not fit"
        )
