"""Who calls, by a token; everybody has their own threads, crons and notes, and everybody may use every graph."""

from typing import Any

from langgraph_sdk import Auth

PEOPLE = {
    "ann-token": {"identity": "ann", "permissions": ["desk"], "team": "blue"},
    "bob-token": {"identity": "bob", "permissions": ["desk"], "team": "red"},
    "dan-token": {"identity": "dan", "permissions": []},
}

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None, headers: dict[bytes, bytes]) -> Auth.types.MinimalUserDict:
    """`Bearer ann-token`, or `x-api-key: ann-token`."""
    token = (authorization or "").removeprefix("Bearer ") or headers.get(b"x-api-key", b"").decode()
    if token == "broken-token":
        raise KeyError("the directory is away: secret-of-the-directory")
    if token not in PEOPLE:
        raise Auth.exceptions.HTTPException(401, "who are you?", {"www-authenticate": "Bearer"})
    return PEOPLE[token]  # type: ignore[return-value]


@auth.on
async def own(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """What one makes is one's own."""
    if "desk" not in ctx.permissions:
        return False
    mine = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(mine)
    return mine


@auth.on.assistants
async def assistants(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> Any:
    """One's own, and those of the graphs."""
    assert "desk" in ctx.permissions, "not at the desk"
    return {"$or": [{"owner": ctx.user.identity}, {"created_by": {"$eq": "system"}}]}


@auth.on.assistants.create
async def new_assistant(ctx: Auth.types.AuthContext, value: Any) -> Any:
    """It belongs to whoever makes it."""
    assert "desk" in ctx.permissions, "not at the desk"
    value["metadata"]["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.store
async def store(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> bool:
    """Everybody has a namespace."""
    namespace = tuple(value["namespace"]) if value.get("namespace") else ()
    if not namespace or namespace[0] != ctx.user.identity:
        namespace = (ctx.user.identity, *namespace)
    value["namespace"] = namespace
    return "desk" in ctx.permissions
