"""Rejects every request. In-process clients are trusted, so the auth file is not called for them."""

from __future__ import annotations

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def reject(authorization: str | None) -> str:
    if authorization != "secret":
        raise Auth.exceptions.HTTPException(status_code=401, detail="no user")
    return "ada"
