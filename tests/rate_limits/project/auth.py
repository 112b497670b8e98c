"""Users by their tokens: `ann-token` is ann's."""

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(authorization: str | None) -> str:
    name, _, rest = (authorization or "").removeprefix("Bearer ").partition("-")
    if rest != "token":
        raise Auth.exceptions.HTTPException(401, "unknown token")
    return name
