"""One handler for all operations: a record has the owner who created it, and only that user finds it. One for the
store."""

from typing import Any

from langgraph_sdk import Auth

from tests.auth.tutorials.callers import authenticate

auth = Auth()
auth.authenticate(authenticate)


@auth.on
async def add_owner(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Adds metadata also to values that have none."""
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
