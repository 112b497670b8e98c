"""Shares of traces: which ids belong to them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from slipway.telemetry.trace_share import bound_of

IDS = st.integers(0, 16**14 - 1)


@given(IDS, st.floats(0, 1))
@example(16**14 - 1, 1.0)
@example(0, 0.0)
def test_a_share_has_the_ids_below_its_bound(number: int, ratio: float) -> None:
    assert (f"{number:014x}" < bound_of(ratio, 14)) is (number < round(ratio * 16**14))
