"""Authenticates by a token. Each user has own threads, crons and store items, and may use every graph."""

from typing import Any

from langgraph_sdk import Auth

USERS = {
    "ann-token": {"identity": "ann", "permissions": ["desk"], "team": "blue"},
    "bob-token": {"identity": "bob", "permissions": ["desk"], "team": "red"},
    "dan-token": {"identity": "dan", "permissions": []},
    "eve-token": {
        "identity": "eve",
        "permissions": ["slipway:operate", "slipway:review", "slipway:administer"],
        "groups": ["support"],
    },
}

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None, headers: dict[bytes, bytes]) -> Auth.types.MinimalUserDict:
    """Accepts `Bearer ann-token` and `x-api-key: ann-token`."""
    token = (authorization or "").removeprefix("Bearer ") or headers.get(b"x-api-key", b"").decode()
    if token == "broken-token":
        raise KeyError("the directory is unavailable: secret-of-the-directory")
    if token not in USERS:
        raise Auth.exceptions.HTTPException(401, "who are you?", {"www-authenticate": "Bearer"})
    return USERS[token]  # type: ignore[return-value]


@auth.on
async def own_records(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Writes the owner into each record, and filters by it."""
    if "desk" not in ctx.permissions:
        return False
    owner = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(owner)
    return owner


@auth.on.assistants
async def assistants(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """Allows the user's own assistants and the system assistants."""
    assert "desk" in ctx.permissions, "not at the desk"
    return {"$or": [{"owner": ctx.user.identity}, {"created_by": {"$eq": "system"}}]}


@auth.on.assistants.create
async def new_assistant(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """Writes the owner into the assistant."""
    assert "desk" in ctx.permissions, "not at the desk"
    value["metadata"]["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.store
async def store(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
    """Puts every namespace below that of the user."""
    namespace = tuple(value["namespace"]) if value.get("namespace") else ()
    if not namespace or namespace[0] != ctx.user.identity:
        namespace = (ctx.user.identity, *namespace)
    value["namespace"] = namespace
    return "desk" in ctx.permissions
