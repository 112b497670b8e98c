"""The value of one operation: what an authorize handler receives, and how its changes are validated.

A handler receives a copy as a plain dict, with `UUID` objects for ids, and may change it. When the handler has
returned, Slipway validates the dict as strictly as a request and creates a new value from it. Routes use only this new
value, so whatever a handler writes is stored, searched for or used. An invalid change is an error of the handler
(`AuthBroken`), and the operation fails:

- a member with a wrong type or out of bounds;
- a member that was removed, or that the operation does not have;
- another value for a member that identifies the record (`FIXED`);
- a name in metadata or `configurable` that only the server writes.

There is one exception: a handler can write `metadata` for every operation, because many handlers add the owner for all
of them. Operations that have no member `metadata` ignore it.
"""

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
"""Resource and action, in the names that authorize handlers use. Operations on runs are operations on their thread."""

_Value = TypeVar("_Value", bound="HandlerValue")


def _label(text: str) -> str:
    if not text or "." in text or "\0" in text:
        raise ValueError("a label of a namespace must not be empty and must not contain a dot or NUL")
    return text


def object_if_none(value: Any) -> Any:
    return {} if value is None else value


Id = Annotated[UUID, Strict(False)]
Metadata = Annotated[JsonObject, BeforeValidator(object_if_none)]
Label = Annotated[str, AfterValidator(_label)]
"""One label of a store namespace."""
Namespace = Annotated[tuple[Label, ...], Strict(False)]
IfExists = Literal["raise", "do_nothing"]
Action = Literal["interrupt", "rollback"]


class HandlerModel(BaseModel):
    """The strict, immutable base of handler values and of the objects inside them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class HandlerValue(HandlerModel):
    """The base of the values of all operations: how a handler receives and changes them."""

    OPERATION: ClassVar[Operation]
    FIXED: ClassVar[frozenset[str]] = frozenset()
    """Members that identify the record. A handler cannot change them."""
    STORES: ClassVar[bool] = False
    """Whether `metadata` is stored. A handler cannot write the names in it that only the server writes."""

    def to_handler(self) -> dict[str, Any]:
        """A copy for a handler. It shares no object with this value."""
        return self.model_dump(warnings=False)

    def from_handler(self: _Value, data: Mapping[str, Any]) -> _Value:
        """Creates the value that has the changes of a handler. `data` is the result of `to_handler` after the handler
        has changed it. Raises `AuthBroken` for an invalid change."""
        encoded = _encode(self.OPERATION, data)
        if encoded == _encode(self.OPERATION, self.to_handler()):
            return self
        changed = self._parse(self._members_of_operation(orjson.loads(encoded)))
        for name in sorted(self.FIXED):
            if getattr(changed, name) != getattr(self, name):
                raise self.handler_error(f"changed {name}, which identifies the record and cannot be changed")
        for path, names in changed.reserved_names(self):
            raise self.handler_error(f"wrote {path}.{names[0]}, which only the server writes")
        return changed

    def record_filter(self) -> AccessFilter:
        """Conditions that the value sets for the record, in addition to the access filter."""
        return MATCH_ALL

    def handler_error(self, problem: str) -> AuthBroken:
        """`problem` continues the sentence "the authorize handler of this operation …"."""
        return AuthBroken(f"the authorize handler of {self.OPERATION} {problem}")

    def reserved_names(self, before: HandlerValue) -> list[tuple[str, list[str]]]:
        """The names that only the server writes and that the handler changed: (path of their object, names)."""
        if not self.STORES:
            return []
        old, new = getattr(before, "metadata", None) or {}, getattr(self, "metadata", None) or {}
        names = [name for name in new if name in RESERVED_METADATA and new[name] != old.get(name)]
        return [("metadata", names)] if names else []

    def _members_of_operation(self, data: dict[str, Any]) -> dict[str, Any]:
        """`data` without `metadata` if the operation has no such member. Raises `AuthBroken` for missing and unknown
        members."""
        members = type(self).model_fields
        if "metadata" in data and "metadata" not in members:
            if not isinstance(data["metadata"], dict):
                raise self.handler_error("wrote metadata that is not an object")
            data = {name: value for name, value in data.items() if name != "metadata"}
        if removed := sorted(members.keys() - data.keys()):
            raise self.handler_error(f"removed {removed[0]} from its value; set it to None instead")
        if unknown := sorted(data.keys() - members.keys()):
            raise self.handler_error(f"wrote {unknown[0]}, which does not exist; the members are {', '.join(members)}")
        return data

    def _parse(self: _Value, data: dict[str, Any]) -> _Value:
        try:
            return type(self).model_validate(data)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            raise self.handler_error(f"wrote an invalid value in {path}: {message}") from None


def _encode(operation: Operation, data: Mapping[str, Any]) -> bytes:
    """JSON, because values are stored as JSON. The parsed result shares no object with the handler's."""
    try:
        return orjson.dumps(dict(data))
    except TypeError as error:
        raise AuthBroken(f"the authorize handler of {operation} wrote a value that is not JSON: {error}") from None


def reserved_in_config(path: str, new: object, old: object) -> list[tuple[str, list[str]]]:
    """The names that only the server writes and whose value in `new` differs from `old`. The result has the form of
    `HandlerValue.reserved_names`."""
    new, old = (each if isinstance(each, Mapping) else {} for each in (new, old))
    names = [name for name in new if name.startswith(RESERVED_CONFIG) and new[name] != old.get(name)]
    return [(path, names)] if names else []


def configurable_of(config: JsonObject | None) -> object:
    """None if the config has no such member."""
    return (config or {}).get("configurable")


OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
