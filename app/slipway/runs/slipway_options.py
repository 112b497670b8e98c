"""Slipway's own options of a run: the members `ceilings` and `priority` of `config.configurable`, or of the `context`
that mirrors it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from slipway.accounting.limits import Limits, parse_limits
from slipway.errors import InvalidRequest
from slipway.graphs.spec import Priority

PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)

CONFIGURABLE: Final = "config.configurable"
CONTEXT: Final = "context"


@dataclass(frozen=True, slots=True)
class SlipwayOptions:
    """The validated options of one config or context."""

    ceilings: Limits
    """Empty if none are set."""
    priority: Priority | None
    """None if none is set."""

    def over(self, lower: SlipwayOptions) -> SlipwayOptions:
        """These options of a request, combined with those of its assistant (`lower`). The lower limit of each ceiling
        applies."""
        ceilings = dict(lower.ceilings)
        for name, limit in self.ceilings.items():
            ceilings[name] = min(limit, ceilings.get(name, limit))
        return SlipwayOptions(ceilings, self.priority or lower.priority)


def parse_slipway_options(values: Mapping[str, Any], path: str = CONFIGURABLE) -> SlipwayOptions:
    """The options in a `configurable` or a context. `path` names it in errors. Raises `InvalidRequest`."""
    return SlipwayOptions(_parse_ceilings(values, path), _parse_priority(values, path))


def slipway_options_of(context: Mapping[str, Any], configurable: Mapping[str, Any]) -> SlipwayOptions:
    """The options of a request or an assistant, in the context if there is one. Raises `InvalidRequest`."""
    return parse_slipway_options(context, CONTEXT) if context else parse_slipway_options(configurable)


def _parse_ceilings(values: Mapping[str, Any], path: str) -> Limits:
    ceilings = values.get("ceilings") or {}
    if not isinstance(ceilings, dict):
        raise InvalidRequest(f"{path}.ceilings", "must be an object")
    return parse_limits(ceilings, f"{path}.ceilings")


def _parse_priority(values: Mapping[str, Any], path: str) -> Priority | None:
    """A context is typed by the graph, which may have a `priority` of its own: other values there are not Slipway's."""
    if "priority" not in values:
        return None
    for priority in PRIORITIES:
        if values["priority"] == priority:
            return priority
    if path == CONTEXT:
        return None
    raise InvalidRequest(f"{path}.priority", f"must be one of {', '.join(PRIORITIES)}")
