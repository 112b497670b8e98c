"""Users by the header `x-user`: `NAME`, or `NAME GROUP`. All of them may review, except `nobody`."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> dict[str, Any]:
    name, _, group = headers.get(b"x-user", b"ann").decode().partition(" ")
    permissions = [] if name == "nobody" else ["slipway:review", "slipway:operate"]
    return {"identity": name, "permissions": permissions, "groups": [group] if group else []}
