"""The record that an authorize handler receives for one operation, and how its changes are validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, get_args
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Strict, ValidationError

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.errors import AuthBroken
from slipway.protocol_types import RESERVED_CONFIG, RESERVED_METADATA, JsonObject

Operation = Literal[
    "assistants:create",
    "assistants:read",
    "assistants:update",
    "assistants:delete",
    "assistants:search",
    "threads:create",
    "threads:read",
    "threads:update",
    "threads:delete",
    "threads:search",
    "threads:create_run",
    "crons:create",
    "crons:read",
    "crons:update",
    "crons:delete",
    "crons:search",
    "store:put",
    "store:get",
    "store:search",
    "store:delete",
    "store:list_namespaces",
]
"""Resource and action, as authorize handlers know them. Runs belong to their thread."""

_Value = TypeVar("_Value", bound="HandlerValue")


def _label(text: str) -> str:
    if not text or "." in text or "\0" in text:
        raise ValueError("a label of a namespace must not be empty, and has no dot and no NUL")
    return text


def object_if_none(value: Any) -> Any:
    return {} if value is None else value


Id = Annotated[UUID, Strict(False)]
Metadata = Annotated[JsonObject, BeforeValidator(object_if_none)]
Label = Annotated[str, AfterValidator(_label)]
"""One part of a namespace of the store."""
Namespace = Annotated[tuple[Label, ...], Strict(False)]
IfExists = Literal["raise", "do_nothing"]
Action = Literal["interrupt", "rollback"]


class HandlerModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class HandlerValue(HandlerModel):
    """The `value` of one operation. `FIXED` members say what is asked about; `STORES` says that `metadata` is stored,
    so that names which only the server writes are refused in it."""

    OPERATION: ClassVar[Operation]
    FIXED: ClassVar[frozenset[str]] = frozenset()
    STORES: ClassVar[bool] = False

    def to_handler(self) -> dict[str, Any]:
        """For a handler: nothing in it is shared with this record."""
        return self.model_dump(warnings=False)

    def from_handler(self: _Value, shown: Mapping[str, Any]) -> _Value:
        """The record that a handler left of what it was shown. Raises `AuthBroken`."""
        encoded = _encoded(self.OPERATION, shown)
        if encoded == _encoded(self.OPERATION, self.to_handler()):
            return self
        found = self._parsed(self._own(orjson.loads(encoded)))
        for name in sorted(self.FIXED):
            if getattr(found, name) != getattr(self, name):
                raise self.handler_error(f"changed {name}, which says what is asked about and cannot be changed")
        for path, names in found.reserved_names(self):
            raise self.handler_error(f"wrote {path}.{names[0]}, which only the server writes")
        return found

    def record_filter(self) -> AccessFilter:
        """What of the value is a filter on the records."""
        return MATCH_ALL

    def handler_error(self, what: str) -> AuthBroken:
        """The error of a handler that did this."""
        return AuthBroken(f"the authorize handler of {self.OPERATION} {what}")

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        """Names that only the server writes, where the handler has written them: the place, and the names."""
        found = []
        if self.STORES:
            old, new = getattr(before, "metadata", None) or {}, getattr(self, "metadata", None) or {}
            names = [name for name in new if name in RESERVED_METADATA and new[name] != old.get(name)]
            found.append(("metadata", names))
        return [(path, names) for path, names in found if names]

    def _own(self, left: dict[str, Any]) -> dict[str, Any]:
        """Without the metadata that handlers stamp on operations that have none. Raises for what is removed."""
        members = type(self).model_fields
        if "metadata" in left and "metadata" not in members:
            if not isinstance(left["metadata"], dict):
                raise self.handler_error("left metadata that is no object")
            left = {name: value for name, value in left.items() if name != "metadata"}
        if removed := sorted(members.keys() - left.keys()):
            raise self.handler_error(f"removed {removed[0]} from its value; set what is not wanted to None")
        if unknown := sorted(left.keys() - members.keys()):
            raise self.handler_error(f"wrote {unknown[0]}, which is no member; there is {', '.join(members)}")
        return left

    def _parsed(self: _Value, left: dict[str, Any]) -> _Value:
        try:
            return type(self).model_validate(left)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in problem["loc"])
            raise self.handler_error(
                f"left {path} as it cannot be: {problem['msg'].removeprefix('HandlerValue error, ')}"
            ) from None


def _encoded(operation: Operation, shown: Mapping[str, Any]) -> bytes:
    """As JSON, which is how it is stored. What is parsed from it shares nothing with objects that a handler keeps."""
    try:
        return orjson.dumps(dict(shown))
    except TypeError as error:
        raise AuthBroken(f"the authorize handler of {operation} left what is no JSON: {error}") from None


def reserved_in_config(path: str, new: object, old: object) -> list[tuple[str, list[str]]]:
    new, old = (each if isinstance(each, Mapping) else {} for each in (new, old))
    names = [name for name in new if name.startswith(RESERVED_CONFIG) and new[name] != old.get(name)]
    return [(path, names)] if names else []


def configurable_of(config: JsonObject | None) -> object:
    return (config or {}).get("configurable")


OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
