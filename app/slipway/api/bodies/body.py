"""The base of all request bodies, and the types that several bodies use.

Unknown members are ignored, but for those of operators' requests. A member that is null is treated as absent; where
null is a value (`input`, `values`), it is also the default, but for the `owner` of a webhook endpoint. Types are
strict: a number in quotes is not a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from slipway.api.request_parsing import checked_uuid
from slipway.errors import InvalidRequest
from slipway.protocol_types import RESERVED_CONFIG, RESERVED_METADATA, JsonObject, StreamMode
from slipway.serialization.json_encoding import has_nul


def _uuid(text: str) -> str:
    try:
        return checked_uuid(text, "")
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _list_if_text(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _without_nul(value: JsonObject) -> JsonObject:
    """JSON is stored without NUL, so a record would never have what a search with NUL asks for."""
    if has_nul(value):
        raise ValueError("must not contain the character NUL (\\u0000)")
    return value


def _text_without_nul(text: str) -> str:
    if has_nul(text):
        raise ValueError("must not contain the character NUL (\\u0000)")
    return text


def _without_reserved_metadata(metadata: JsonObject) -> JsonObject:
    return {name: value for name, value in metadata.items() if name not in RESERVED_METADATA}


def _without_reserved_config(config: JsonObject) -> JsonObject:
    return {name: value for name, value in config.items() if not name.startswith(RESERVED_CONFIG)}


Uuid = Annotated[str, AfterValidator(_uuid)]
ObjectWithoutNul = Annotated[JsonObject, AfterValidator(_without_nul)]
WithoutNul: Final = AfterValidator(_text_without_nul)
"""For texts."""
Metadata = Annotated[ObjectWithoutNul, AfterValidator(_without_reserved_metadata)]
"""Metadata without the names that only the server writes."""
Configurable = Annotated[JsonObject, AfterValidator(_without_reserved_config)]
StreamModes = Annotated[list[StreamMode], BeforeValidator(_list_if_text)]
Order = Literal["asc", "desc"]


class Body(BaseModel):
    """The base of all request bodies."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if isinstance(body, dict) and None in body.values():
            return {name: value for name, value in body.items() if value is not None}
        return body


class StrictBody(Body):
    """The base of bodies that only Slipway knows. An unknown member is an error: it would have no effect on what an
    operator does."""

    model_config = ConfigDict(extra="forbid")


class NoBody(StrictBody):
    """The body of a request whose path says everything: absent, or an empty object."""
