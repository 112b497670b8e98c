"""The figures of several shards are shown as one."""

from __future__ import annotations

from slipway.metrics.scripts import ReadFigures
from slipway.metrics.shard_figures import together

WAIT = "queue_wait_seconds\x1fgraph\x1fnormal\x1f"


def read(metrics: dict[str, str], *, runs: int, waited_ms: int, left_ms: int) -> ReadFigures:
    return ReadFigures(
        metrics={"about": "counters", **metrics},
        queue=[("graph\x1f\x1fnormal", runs, waited_ms)],
        phases={"queued": runs, "running": 1},
        webhooks=2,
        repairs={"lost job": "1"},
        processes=[{"kind": "web", "gauge:a": str(runs)}],
        left_ms=left_ms,
    )


FIRST = read({f"{WAIT}1": "2", f"{WAIT}us": "300", f"{WAIT}1x": "aa 150 1000"}, runs=3, waited_ms=50, left_ms=900)
SECOND = read({f"{WAIT}1": "5", f"{WAIT}4": "1", f"{WAIT}1x": "bb 9 999"}, runs=4, waited_ms=7, left_ms=200)


def test_counts_are_added_and_ages_are_those_of_the_oldest() -> None:
    all_of_them = together([FIRST, SECOND])
    assert all_of_them.metrics == {
        "about": "counters",
        f"{WAIT}1": "7",
        f"{WAIT}us": "300",
        f"{WAIT}4": "1",
        f"{WAIT}1x": "aa 150 1000",
    }
    assert all_of_them.queue == [("graph\x1f\x1fnormal", 7, 50)]
    assert all_of_them.phases == {"queued": 7, "running": 2}
    assert (all_of_them.webhooks, all_of_them.repairs) == (4, {"lost job": "2"})
    assert len(all_of_them.processes) == 2


def test_they_are_shown_until_the_first_of_them_is_read_again() -> None:
    assert together([FIRST, SECOND]).left_ms == 200


def test_figures_of_one_shard_stay_as_they_are() -> None:
    assert together([FIRST]) is FIRST


def test_the_order_of_the_shards_does_not_matter() -> None:
    assert together([FIRST, SECOND]).metrics == together([SECOND, FIRST]).metrics
