"""The authenticate handler of all auth files in this folder."""

from langgraph_sdk import Auth

TOKENS = {"ann-token": "ann", "bob-token": "bob"}


async def authenticate(authorization: str | None) -> Auth.types.MinimalUserDict:
    """Accepts `Bearer ann-token`."""
    token = (authorization or "").removeprefix("Bearer ")
    if token not in TOKENS:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Invalid token")
    return {"identity": TOKENS[token]}
