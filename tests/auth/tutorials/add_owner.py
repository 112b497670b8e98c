"""One handler for everything: what a user makes has the user's name, and only that user finds it. One for the store."""

from typing import Any

from langgraph_sdk import Auth

from tests.auth.tutorials.callers import caller

auth = Auth()
auth.authenticate(caller)


@auth.on
async def add_owner(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Also for operations whose value has no metadata."""
    if isinstance(ctx.user, Auth.types.StudioUser):
        return {}
    filters = {"owner": ctx.user.identity}
    metadata = value.setdefault("metadata", {})
    metadata.update(filters)
    return filters


@auth.on.store()
async def own_namespace(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    """The first part of a namespace is the user."""
    namespace: tuple[str, ...] = value["namespace"]
    assert namespace[0] == ctx.user.identity, "Not authorized"
