"""`select` on states: reduces a state to some fields and channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slipway.errors import InvalidRequest

_FIELDS: Final = frozenset(
    {
        "values",
        "next",
        "tasks",
        "metadata",
        "created_at",
        "checkpoint",
        "parent_checkpoint",
        "interrupts",
        "checkpoint_id",
        "parent_checkpoint_id",
    }
)
_CHANNEL: Final = "values."


class StateSelect:
    """`names` are names of fields, or `values.<channel>` for single channels. Without names everything is selected."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises `InvalidRequest` for a field that states do not have."""
        self._channels = {name.removeprefix(_CHANNEL) for name in names if name.startswith(_CHANNEL)}
        self._fields = {name for name in names if not name.startswith(_CHANNEL)}
        if unknown := self._fields - _FIELDS:
            raise InvalidRequest("select", f"{min(unknown)!r} is neither a field of a state nor values.<channel>")

    def select(self, state: dict[str, Any]) -> dict[str, Any]:
        """The selected part of a state. A channel without a value is omitted."""
        if not self._fields and not self._channels:
            return state
        selected = {name: value for name, value in state.items() if name in self._fields}
        if self._channels and "values" not in selected:
            selected["values"] = _channels(state["values"], self._channels)
        return selected


def _channels(values: Any, names: set[str]) -> dict[str, Any]:
    members = values.items() if isinstance(values, dict) else ()
    return {name: value for name, value in members if name in names}
