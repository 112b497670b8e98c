"""What an authorize handler leaves in the `value` of an operation: that is what is done, stored or looked for.

A handler may write every member, except for the ids of what a request is about: a request can be refused, but it is
not turned into one about something else. An id that is about to be made may be another one. Whatever cannot be done
as the handler says is the handler's fault (`AuthBroken`), and nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.errors import AuthBroken

_IDS: Final = frozenset({"thread_id", "run_id", "assistant_id", "cron_id", "user_id"})
_MAKES: Final[Mapping[str, str]] = {
    "threads:create": "thread_id",
    "assistants:create": "assistant_id",
    "crons:create": "cron_id",
}
"""The id of what an operation makes."""
_MAY_ADD: Final[Mapping[str, frozenset[str]]] = {
    "crons:update": frozenset({"timezone", "end_time", "enabled", "on_run_completed"}),
}
"""Members that are shown where they were sent, and may be added where they were not."""
_HARMLESS: Final = frozenset({"metadata"})
"""Handlers for all operations write it everywhere; where nothing has metadata it has no effect."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A `value` before the handler has it: which members there are, and the ids that must stay."""

    operation: str
    members: frozenset[str]
    ids: Mapping[str, Any]

    @classmethod
    def of(cls, operation: str, value: Mapping[str, Any]) -> Shown:
        """What is about to be shown to the handler of `operation`."""
        fixed = frozenset() if operation.endswith(":search") else _IDS - {_MAKES.get(operation, "")}
        return cls(operation, frozenset(value), {name: value[name] for name in fixed & value.keys()})

    def check(self, left: Mapping[str, Any]) -> list[str]:
        """Members that the handler added: they have no effect. Raises `AuthBroken` when it exchanged an id."""
        for name, before in self.ids.items():
            must_stay(self.operation, name, before, left.get(name))
        return sorted(map(str, left.keys() - self.members - _HARMLESS - _MAY_ADD.get(self.operation, frozenset())))


def must_stay(operation: str, name: str, before: object, after: object) -> None:
    """`AuthBroken` when a handler has written a member that it may not write."""
    if str(before) != str(after):
        raise AuthBroken(
            f"the authorize handler of {operation} changed {name}, which says what the request is about: refuse the "
            "request instead"
        )


def metadata_left(value: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that a handler left in `value`; empty where it left none."""
    return object_left(value, "metadata")


def object_left(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object that a handler left under this name; an empty one where it left none. Raises `AuthBroken`."""
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise AuthBroken(f"an authorize handler left {name} as {type(found).__name__}; it must be an object")
    return found
