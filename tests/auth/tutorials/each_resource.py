"""Handlers for single operations on threads; assistants are denied to every user; each user has a namespace of the
store."""

from typing import Any

from langgraph_sdk import Auth

from tests.auth.tutorials.callers import authenticate

auth = Auth()
auth.authenticate(authenticate)


@auth.on.threads.create
async def on_thread_create(ctx: Auth.types.AuthContext, value: Any) -> None:
    """Writes the owner, without a filter."""
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity


async def on_thread(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Filters, without writing anything."""
    return {"owner": ctx.user.identity}


auth.on.threads.read(on_thread)
auth.on.threads.search(on_thread)
auth.on.threads.update(on_thread)
auth.on.threads.delete(on_thread)


@auth.on.threads.create_run
async def on_run(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Writes the owner into the run, and filters by it."""
    metadata = value.setdefault("metadata", {})
    metadata["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.assistants
async def on_assistants(ctx: Auth.types.AuthContext, value: Any) -> None:
    """Denies all routes of assistants."""
    raise Auth.exceptions.HTTPException(status_code=403, detail="Assistants are not for users")


@auth.on.store
async def own_namespace(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    """Puts everything below the user's own namespace."""
    namespace = tuple(value["namespace"] or ())
    if not namespace or namespace[0] != ctx.user.identity:
        namespace = (ctx.user.identity, *namespace)
    value["namespace"] = namespace
