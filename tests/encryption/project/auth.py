"""The user of a request is the one that the header `x-user` names; a part of it that is only for the project."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> dict[str, Any]:
    name = headers.get(b"x-user", b"ann").decode()
    note = headers.get(b"x-note", b"").decode()
    return {"identity": name, "permissions": ["slipway:review", "slipway:operate"], "groups": [], "note": note}
