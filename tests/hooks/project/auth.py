"""Authenticates by a token. Each user has own records; hooks of the owner acme may not use the assistant `asks`."""

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    if not (authorization or "").startswith("Bearer "):
        raise Auth.exceptions.HTTPException(401, "who are you?")
    return {"identity": str(authorization).removeprefix("Bearer "), "permissions": ["slipway:operate"]}


@auth.on
async def own_records(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    if ctx.user.identity == "hook:banned":
        return False
    owner = {"by": ctx.user.identity}
    value.setdefault("metadata", {}).update(owner)
    return owner
