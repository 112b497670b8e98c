"""Permissions of operators.

The routes of operators act on the records of all users, so no access filter applies to them. With an auth file, its
authenticate handler gives a user these permissions in the list `permissions`. Without an auth file everybody has them,
as everybody may send any other request.
"""

from __future__ import annotations

from typing import Final, Literal

from slipway.access.users import User
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
"""The actor of a request if there is no auth file."""

_FORBIDDEN: Final = 403


def is_operator(user: User | None, permission: str) -> bool:
    """Whether the user has the permission. `user` is None without an auth file and for the in-process client, which
    have all permissions."""
    return user is None or permission in user.permissions


def require_operator(user: User | None, permission: str, needed_for: str = "") -> None:
    """Raises `AccessRefused` if the user lacks the permission. `needed_for` is the begin of the message."""
    if user is not None and not is_operator(user, permission):
        raise AccessRefused(
            _FORBIDDEN,
            f"{needed_for}the user {user.identity!r} lacks the permission {permission!r}: the authenticate handler of "
            "the auth file must return it in the list `permissions`",
        )
