"""An auth file that allows everything to every user, except what a test sets in `rules`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langgraph_sdk import Auth

ADMIN = "admin"


@dataclass
class Rules:
    """What the handler does for an operation such as `threads:read`.

    It denies operations in `denied`, raises for those in `failing`, never returns for those in `hanging`. It returns
    the filters in `filters`, or for operations in `member_of` a filter on the user among the `members`. It writes
    `metadata` into the value, and calls `changes` with it. `calls` has user, operation and value of each call of the
    handler; `permissions` are those of every user."""

    denied: set[str] = field(default_factory=set)
    filters: dict[str, dict[str, Any]] = field(default_factory=dict)
    member_of: set[str] = field(default_factory=set)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: dict[str, Callable[[dict[str, Any]], object]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """Remove all rules and calls."""
        self.__init__()  # type: ignore[misc]

    def operations(self) -> list[str]:
        """The operations of all calls, in order."""
        return [operation for _, operation, _ in self.calls]


rules = Rules()
auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    """`Bearer ann-token` is the token of ann."""
    token = (authorization or "").removeprefix("Bearer ")
    if not token.endswith("-token"):
        raise Auth.exceptions.HTTPException(401, "who are you?")
    return {"identity": token.removesuffix("-token"), "permissions": list(rules.permissions)}


@auth.on
async def authorize(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Follows the rules; the admin may do everything."""
    if ctx.user.identity == ADMIN:
        return None
    operation = f"{ctx.resource}:{ctx.action}"
    rules.calls.append((ctx.user.identity, operation, dict(value)))
    if operation in rules.hanging:
        await asyncio.Event().wait()
    if operation in rules.failing:
        raise KeyError("the directory is unavailable: secret-of-the-directory")
    if operation in rules.denied:
        return False
    if operation in rules.metadata:
        value["metadata"] = {**(value.get("metadata") or {}), **rules.metadata[operation]}
    if operation in rules.changes:
        rules.changes[operation](value)
    if operation in rules.member_of:
        return {"members": {"$contains": ctx.user.identity}}
    return rules.filters.get(operation)
