"""`slipway.rollouts` of langgraph.json: when a version that is ramping is rolled back without an operator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import PositiveWhole, StrictSection

Percent = Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False)]


class RolloutsSection(StrictSection):
    """The rules for all graphs. Margins of shares are in percentage points: a margin of 5 lets the new version fail in
    8 % of its runs where the old one fails in 3 %."""

    automatic: bool = True
    """Whether a version is rolled back without an operator."""
    min_runs: Annotated[PositiveWhole, Field(ge=10)] = 20
    """How many runs of each of the two versions must have ended before they are compared."""
    error_margin_percent: Percent = 5.0
    """By how much the share of failed runs may exceed that of the old version."""
    ceiling_margin_percent: Percent = 5.0
    """By how much the share of runs that reach a ceiling may exceed that of the old version."""
    p95_factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    """How many times the 95th percentile of the old version's durations that of the new one may be."""
    false_rollback_percent: Annotated[float, Field(gt=0, le=50)] = 5.0
    """The probability with which a version that is as good as permitted is rolled back, in a whole rollout."""
    webhook: Text | None = None
    """A URL that is called after each change of a rollout."""
