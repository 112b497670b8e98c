"""Who calls, by a token: what the auth files of this folder share."""

from langgraph_sdk import Auth

TOKENS = {"ann-token": "ann", "bob-token": "bob"}


async def caller(authorization: str | None) -> Auth.types.MinimalUserDict:
    """`Bearer ann-token`."""
    token = (authorization or "").removeprefix("Bearer ")
    if token not in TOKENS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid token")
    return {"identity": TOKENS[token]}
