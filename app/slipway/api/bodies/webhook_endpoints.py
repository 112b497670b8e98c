"""Request bodies of webhook endpoints."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from slipway.api.bodies.body import StrictBody, WithoutNul
from slipway.webhook_endpoints.record import Format
from slipway.webhook_endpoints.signing_keys import KeyKind
from slipway.webhook_endpoints.store import OVERLAP_S, EndpointChange

Text = Annotated[str, Field(max_length=1000), WithoutNul]
Url = Annotated[str, Field(min_length=1, max_length=65_536), WithoutNul]
Secret = Annotated[str, Field(max_length=200), WithoutNul]


class EndpointChangeBody(StrictBody):
    """What is sent where. Members that are absent stay as they are; an empty `description` or list of `graphs`, and an
    `owner` that is null, remove what was there. At least one must be named."""

    url: Url | None = None
    types: Annotated[list[Text], Field(max_length=100)] | None = None
    """Types of events, families such as `run.*`, or `*` for all."""
    graphs: Annotated[list[Text], Field(max_length=1000)] | None = None
    """Only events of these graphs; an empty list for all."""
    owner: Text | None = None
    """Only events of this owner; null for all."""
    format: Annotated[Format, Field(strict=False)] | None = None
    description: Text | None = None
    concurrency: int | None = None
    """How many calls are made at once, over all processes."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        """Replaces that of the base: an `owner` that is null is not absent."""
        if isinstance(body, dict):
            return {name: value for name, value in body.items() if value is not None or name == "owner"}
        return body

    def change(self) -> EndpointChange:
        return EndpointChange(
            url=self.url,
            types=self.types,
            graphs=self.graphs,
            owner=self.owner,
            all_owners=self.owner is None and "owner" in self.model_fields_set,
            format=self.format,
            description=self.description,
            concurrency=self.concurrency,
        )


class EndpointBody(EndpointChangeBody):
    """A new endpoint: `url` and `types` must be there. A key is generated, of `v1a` by default, unless there is a
    `secret` (`whsec_…`) of `v1`."""

    key_kind: Annotated[KeyKind, Field(strict=False)] | None = None
    secret: Secret | None = None


class RotationBody(StrictBody):
    """A new key. The one before signs too for `overlap_s` seconds."""

    key_kind: Annotated[KeyKind, Field(strict=False)] | None = None
    secret: Secret | None = None
    overlap_s: Annotated[float, Field(allow_inf_nan=False)] = OVERLAP_S
