"""Request bodies of API keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slipway.api.bodies.body import StrictBody, WithoutNul
from slipway.api_keys.store import NAME_CHARACTERS


class NewKeyBody(StrictBody):
    """A new API key. `expires` is a duration such as `90d`; without it the key does not expire."""

    scopes: list[str]
    owner: Annotated[str, WithoutNul] | None = None
    expires: str | None = None
    name: Annotated[str, Field(max_length=NAME_CHARACTERS), WithoutNul] = ""
