"""Everybody may do everything, except for what a test forbids in `rules`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langgraph_sdk import Auth

ADMIN = "admin"


@dataclass
class Rules:
    """By operation, such as `threads:read`: what is refused, filtered, written into the metadata, changed in the value,
    broken, or stands still. In `member_of` are operations on what has the user among its `members`. `asked` has who was
    asked about, for what and with which value."""

    refused: set[str] = field(default_factory=set)
    filters: dict[str, dict[str, Any]] = field(default_factory=dict)
    member_of: set[str] = field(default_factory=set)
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: dict[str, Callable[[dict[str, Any]], object]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    still: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """Nothing is forbidden."""
        self.__init__()  # type: ignore[misc]

    def operations(self) -> list[str]:
        """What was asked about, in order."""
        return [operation for _, operation, _ in self.asked]


rules = Rules()
auth = Auth()


@auth.authenticate
async def who(authorization: str | None) -> Auth.types.MinimalUserDict:
    """`Bearer ann-token` is ann."""
    token = (authorization or "").removeprefix("Bearer ")
    if not token.endswith("-token"):
        raise Auth.exceptions.HTTPException(401, "who are you?")
    return {"identity": token.removesuffix("-token"), "permissions": list(rules.permissions)}


@auth.on
async def every(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """By the rules; the admin may do everything."""
    if ctx.user.identity == ADMIN:
        return None
    operation = f"{ctx.resource}:{ctx.action}"
    rules.asked.append((ctx.user.identity, operation, dict(value)))
    if operation in rules.still:
        await asyncio.Event().wait()
    if operation in rules.broken:
        raise KeyError("the directory is away: secret-of-the-directory")
    if operation in rules.refused:
        return False
    if operation in rules.written:
        value["metadata"] = {**(value.get("metadata") or {}), **rules.written[operation]}
    if operation in rules.changes:
        rules.changes[operation](value)
    if operation in rules.member_of:
        return {"members": {"$contains": ctx.user.identity}}
    return rules.filters.get(operation)
