"""Denies every operation without a handler. Threads, their runs, crons and the store have handlers."""

from typing import Any

from langgraph_sdk import Auth

from tests.auth.tutorials.callers import authenticate

auth = Auth()
auth.authenticate(authenticate)


@auth.on
async def reject(ctx: Auth.types.AuthContext, value: Any) -> None:
    """The handler for all other operations."""
    raise Auth.exceptions.HTTPException(status_code=403, detail=f"{ctx.resource}:{ctx.action} is forbidden")


@auth.on.threads
async def on_threads(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """All operations on threads and runs."""
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.read
async def on_thread_read(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Replaces `on_threads` for reading."""
    return {"owner": ctx.user.identity}


@auth.on.crons
async def on_crons(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Writes the owner, and filters by it."""
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.store
async def own_namespace(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    """The first part of a namespace is the user."""
    assert value["namespace"][0] == ctx.user.identity, "Not authorized"
