"""Confidence bounds of proportions and of quantiles, without a library.

`Wilson, E. B. (1927)` for one proportion and `Newcombe, R. G. (1998), method 10` for the difference of two: both hold
for small samples and for proportions near 0, where the usual approximation by a normal distribution fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Proportion:
    """How many of `trials` had a property."""

    hits: int
    trials: int

    @property
    def share(self) -> float:
        return self.hits / self.trials if self.trials else 0.0


def one_sided_z(alpha: float) -> float:
    """The quantile of the normal distribution above which a share `alpha` lies."""
    return NormalDist().inv_cdf(1 - alpha)


def wilson(proportion: Proportion, alpha: float) -> tuple[float, float]:
    """A lower and an upper bound of the true proportion. Each is wrong with a probability of about `alpha`."""
    trials = proportion.trials
    if trials == 0:
        return 0.0, 1.0
    z, share = one_sided_z(alpha), proportion.share
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    whole = 1 + z * z / trials
    return max(0.0, (centre - half) / whole), min(1.0, (centre + half) / whole)


def least_difference(new: Proportion, old: Proportion, alpha: float) -> float:
    """A lower bound of the true difference `new - old`. It is too high with a probability of about `alpha`."""
    lowest_new, _ = wilson(new, alpha)
    _, highest_old = wilson(old, alpha)
    return new.share - old.share - math.hypot(new.share - lowest_new, highest_old - old.share)


BUCKET_GROWTH = 1.1
"""Each bucket of durations ends at 1.1 times the end of the one before, so a quantile is known within 10 %. The script
that ends a run computes the same (`lib/rollouts.lua`)."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How many runs took how long: counts by bucket. Bucket `n` holds those from 1.1ⁿ to 1.1ⁿ⁺¹ ms."""

    buckets: Mapping[int, int]

    @property
    def total(self) -> int:
        return sum(self.buckets.values())

    def quantile_ms(self, share: float) -> float | None:
        """The end of the bucket up to which `share` of the runs lie. None without runs."""
        seen, total = 0, self.total
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= share * total:
                return end_ms(bucket)
        return None

    def longer_than(self, limit_ms: float) -> Proportion:
        """Those that took certainly longer: their bucket begins at the limit or later."""
        hits = sum(count for bucket, count in self.buckets.items() if end_ms(bucket - 1) >= limit_ms * (1 - 1e-9))
        return Proportion(hits, self.total)

    def highest_quantile_ms(self, share: float, alpha: float) -> float | None:
        """An upper bound of the true quantile, which is too low with a probability of about `alpha`. None if there are
        too few runs to say."""
        longer = self.total
        for bucket in sorted(self.buckets):
            longer -= self.buckets[bucket]
            if wilson(Proportion(longer, self.total), alpha)[1] <= 1 - share:
                return end_ms(bucket)
        return None


def end_ms(bucket: int) -> float:
    """Where a bucket ends."""
    return float(BUCKET_GROWTH ** (bucket + 1))
