"""Weights and rules for testers as operators write them."""

from __future__ import annotations

import math

from slipway.credential_headers import is_credential
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
    """Threads whose request has this header get the ramping version. Raises `InvalidRequest` for a header with a
    credential: the rule is stored, and everybody who may read the status sees its value."""
    header = name.strip().lower()
    if is_credential(header):
        raise InvalidRequest(
            "header",
            f"{header!r} carries a credential, and the status of the rollout shows the value of a rule: use a header "
            "of your own such as x-tester, or a member of the metadata",
        )
    return RequestRule("header", header, value.strip())


def metadata_rule(name: str, value: str) -> RequestRule:
    """Threads whose request has this metadata get the ramping version."""
    return RequestRule("metadata", name, value)
