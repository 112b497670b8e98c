"""The base of all request bodies, and the types that several bodies use.

Unknown members are ignored. A member that is null is treated as absent; where null is a value (`input`, `values`), it
is also the default. Types are strict: a number in quotes is not a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from slipway.api.request_parsing import checked_uuid
from slipway.errors import InvalidRequest
from slipway.protocol_types import RESERVED_CONFIG, RESERVED_METADATA, JsonObject, StreamMode


def _uuid(text: str) -> str:
    try:
        return checked_uuid(text, "")
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _list_if_text(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_ESCAPED_NUL: Final = rb"\u0000"


def _without_nul(value: JsonObject) -> JsonObject:
    """JSON is stored without NUL, so a record would never have what a search with NUL asks for."""
    if _has_nul(value):
        raise ValueError("must not contain the character NUL (\\u0000)")
    return value


def _has_nul(value: JsonObject) -> bool:
    try:
        if _ESCAPED_NUL not in orjson.dumps(value):
            return False
    except TypeError:  # a large integer or half a surrogate pair
        pass
    return any("\0" in text for text in _texts_of(value))


def _texts_of(value: Any) -> Iterator[str]:
    """All texts inside a JSON value, including the names of members."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as members:
                waiting += (*members, *members.values())
            case list() as elements:
                waiting += elements


def _without_reserved_metadata(metadata: JsonObject) -> JsonObject:
    return {name: value for name, value in metadata.items() if name not in RESERVED_METADATA}


def _without_reserved_config(config: JsonObject) -> JsonObject:
    return {name: value for name, value in config.items() if not name.startswith(RESERVED_CONFIG)}


Uuid = Annotated[str, AfterValidator(_uuid)]
ObjectWithoutNul = Annotated[JsonObject, AfterValidator(_without_nul)]
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
