"""Permissions of operators.

The routes of operators act on the records of all users, so no access filter applies to them. The scopes of an API key
or a token give these permissions, and the authenticate handler of an auth file gives them to a user in the list
`permissions`. If access is not controlled, everybody has them, as everybody may send any other request.
"""

from __future__ import annotations

from typing import Final, Literal

from slipway.access.users import RULE, User
from slipway.errors import AccessRefused

OperatorPermission = Literal["slipway:operate", "slipway:review", "slipway:administer"]

OPERATE: Final = "slipway:operate"
"""Pause, resume and repair runs, change switches, ceilings and rollouts, name the version of a run, and read audit
trails."""

REVIEW: Final = "slipway:review"
"""Read the questions of all runs, and decide them."""

ADMINISTER: Final = "slipway:administer"
"""Create and revoke API keys, and change webhook endpoints: whatever gives access to others."""

ANONYMOUS: Final = "anonymous"
"""The actor of a request if access is not controlled."""

_FORBIDDEN: Final = 403
_SCOPES: Final[dict[str, str]] = {OPERATE: "operate", REVIEW: "reviews:decide", ADMINISTER: "administer"}
"""The scope of API keys and tokens that gives each permission (`slipway.access.scopes`)."""


def is_operator(user: User | None, permission: str) -> bool:
    """Whether the user has the permission. `user` is None if access is not controlled, and for the in-process client:
    both have all permissions."""
    return user is None or permission in user.permissions


def require_operator(user: User | None, permission: str, needed_for: str = "") -> None:
    """Raises `AccessRefused` if the user lacks the permission. `needed_for` is the begin of the message."""
    if user is not None and not is_operator(user, permission):
        fix = (
            "the authenticate handler of the auth file must return it in the list `permissions`"
            if RULE not in user
            else f"it needs the scope {_SCOPES[permission]!r}"
        )
        raise AccessRefused(
            _FORBIDDEN, f"{needed_for}the user {user.identity!r} lacks the permission {permission!r}: {fix}"
        )
