"""Users by the header `x-user`. All of them may operate and review."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> dict[str, Any]:
    name = headers.get(b"x-user", b"ann").decode()
    return {"identity": name, "permissions": ["slipway:review", "slipway:operate"]}
