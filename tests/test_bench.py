"""The benchmarks work. Their figures are not asserted."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHMARKS
from tests.bench.compare import Comparison, compare
from tests.bench.figures import Figure, merged, percentile, table

ROOT = Path(__file__).parent.parent


@pytest.mark.timeout(300)
async def test_every_benchmark_prints_its_figures() -> None:
    bench = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", "--quick"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed = (await bench.communicate())[0].decode()
    assert bench.returncode == 0, printed
    for name in BENCHMARKS:
        assert f"\n{name} (" in printed
    assert "all figures" in printed


@pytest.mark.timeout(120)
async def test_two_checkouts_are_compared() -> None:
    comparisons = await compare(ROOT, ["latency"], pairs=1)
    assert [comparison.name for comparison in comparisons] == [
        "waited run, 1 client, p50",
        "first values event, 1 client, p50",
        "memory of an idle stream (USS)",
    ]
    assert all(before > 0 and after > 0 for c in comparisons for before, after in zip(c.before, c.after, strict=True))


def test_a_comparison_is_the_median_of_the_ratios_of_the_pairs() -> None:
    line = Comparison("wait", "ms", before=[2, 4, 8], after=[1, 4, 16]).line()
    assert line == "| wait | 4 ms | 4 ms | 1.000 | 0.500 … 2.000 |"


def test_repetitions_are_merged_to_a_median_with_its_spread() -> None:
    (figure,) = merged([[Figure("wait", value, "ms", goal=4, bare=2)] for value in (5, 3, 10)])
    assert (figure.value, figure.spread, figure.met) == (5, (3, 10), False)
    assert figure.cells() == ("wait", "5 ms", "3 … 10", "≤ 4 MISSED", "2.50 of 2")
    assert len(table([figure]).splitlines()) == 3


def test_a_goal_can_be_a_ratio_to_the_bare_graph() -> None:
    rates = [
        Figure("rate", value, "runs/s", more_is_better=True, bare=bare, goal_of_bare=0.6)
        for value, bare in ((5, 10), (7, 10), (60, 90))
    ]
    (figure,) = merged([[rate] for rate in rates])
    assert figure.met
    assert figure.cells()[3:] == ("≥ 0.6 of bare met", "0.67 of 10")
    assert not rates[0].met


def test_a_percentile_is_one_of_the_samples() -> None:
    assert [percentile([5, 1, 2, 4, 3], percent) for percent in (0, 50, 99, 100)] == [1, 3, 5, 5]
