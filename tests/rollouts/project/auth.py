"""Authenticates each request as the user whom it names; `ann` is an operator."""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> dict[str, Any]:
    name = headers.get(b"x-user", b"nobody").decode()
    return {"identity": name, "permissions": ["slipway:operate"] if name == "ann" else []}
