"""The bounds of the buckets of histograms, in seconds. `redis/lua/lib/metrics.lua` has those of waits and runs too."""

from __future__ import annotations

from typing import Final

WAITS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 14400, 86400, 604800)
"""From a run that nobody notices to an approval that takes a week."""

SUPERSTEPS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600)

ROUND_TRIPS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
