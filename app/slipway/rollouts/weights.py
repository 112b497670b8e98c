"""Weights and rules for testers as operators write them."""

from __future__ import annotations

import math

from slipway.errors import InvalidRequest
from slipway.rollouts.record import WHOLE, RequestRule


def weight_of(field: str, percent: float) -> int:
    """A percentage in the unit of weights. Raises `InvalidRequest` if it is not between 0 and 100, or finer than one
    hundredth."""
    weight = percent * WHOLE / 100
    if not math.isfinite(weight) or not 0 <= weight <= WHOLE:
        raise InvalidRequest(field, f"a weight is between 0 and 100 %, not {percent:g} %")
    if abs(weight - round(weight)) > 1e-6:
        raise InvalidRequest(field, f"a weight has at most two digits behind the point, not {percent:g} %")
    return round(weight)


def header_rule(name: str, value: str) -> RequestRule:
    """Threads whose request has this header get the ramping version."""
    return RequestRule("header", name.strip().lower(), value.strip())


def metadata_rule(name: str, value: str) -> RequestRule:
    """Threads whose request has this metadata get the ramping version."""
    return RequestRule("metadata", name, value)
