"""`python -m tests.small_server [--seconds 60]`: fills a Redis of 25 MB with bursts of runs, deletes half of the
threads, and repeats. Prints one line for each burst; the exit code is 1 when a write of a run in progress was rejected,
when memory exceeded the high-water mark by more than 5 % of the server's memory, or when an accepted run did not end.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.small_server.burst import (
    ALLOWED_OVER,
    HIGH_WATER,
    MAX_BYTES,
    Burst,
    burst,
    delete_threads,
    seconds_until_accepted,
    small_server,
)


async def main(seconds: float, rejections: int) -> int:
    """Returns the number of problems."""
    problems = 0
    async with small_server() as (cluster, probe):
        idle = await probe.sample()
        print(f"an idle deployment uses {idle / MAX_BYTES:.1%}")
        for graph in ("research_assistant", "small", "research_assistant"):
            result = await burst(cluster, probe, graph, seconds=seconds, rejections=rejections)
            refused = await probe.rejected()
            print(row(result, refused))
            problems += refused + (result.peak_ratio > HIGH_WATER + ALLOWED_OVER) + sum(result.other.values())
            problems += result.phases != {"completed": len(result.accepted)}
            half = [thread_id for thread_id, _ in result.accepted][::2]
            await delete_threads(cluster, half)
            print(
                f"  {len(half)} threads deleted; the next run ended after "
                f"{await seconds_until_accepted(cluster, graph):.2f} s"
            )
        print(f"{probe.samples} samples")
    return problems


def row(result: Burst, refused: int) -> str:
    """One burst as a line of text."""
    before, after = result.used_before / MAX_BYTES, result.used_after / MAX_BYTES
    return (
        f"{result.graph}: {len(result.accepted)} runs accepted {dict(result.phases)}, {result.rejected} rejected, "
        f"others {dict(result.other)}, {result.bytes_per_run / 1024:.1f} KiB each; memory {before:.1%} before, "
        f"peak {result.peak_ratio:.1%}, {after:.1%} after; Redis rejected {refused} commands so far"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="the longest time of a burst")
    parser.add_argument("--rejections", type=int, default=300, help="how many rejected requests in a row end a burst")
    options = parser.parse_args()
    sys.exit(1 if asyncio.run(main(options.seconds, options.rejections)) else 0)
