"""`python -m tests.mutants` plants the listed faults one at a time, and fails when the named tests do not notice one.

The tests of each fault first run without it. Tests that fail then cannot notice the fault.
"""

from __future__ import annotations

import argparse
import queue
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.mutants.faults import ROOT, Fault, FaultList, fault_lists, to_plant
from tests.mutants.page import PAGE, page
from tests.mutants.planting import Copy, Outcome, copies


def main() -> int:
    """The exit code: 0 if every fault was noticed, 1 if a fault was not noticed, 2 if no fault was selected."""
    options = _options()
    if options.write_table:
        PAGE.write_text(page())
        return 0
    faults = _selected(options)
    if not faults:
        print("no fault has this name", file=sys.stderr)
        return 2
    with copies(min(options.jobs, len(faults))) as free:
        unnoticed = []
        for fault, outcome in _outcomes(faults, free):
            _print(fault, outcome)
            if outcome.noticed_by is None:
                unnoticed.append(fault.name)
    print(f"{len(faults) - len(unnoticed)} of {len(faults)} planted faults were noticed")
    if unnoticed:
        print(f"not noticed: {' '.join(unnoticed)}")
    return 1 if unnoticed else 0


def _outcomes(faults: list[Fault], all_copies: list[Copy]) -> Iterator[tuple[Fault, Outcome]]:
    """In the order in which they end. Each copy has one fault at a time."""
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for copy in all_copies:
        free.put(copy)

    def outcome(fault: Fault) -> Outcome:
        copy = free.get()
        try:
            return copy.outcome(fault)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(all_copies)) as pool:
        running = {pool.submit(outcome, fault): fault for fault in faults}
        for done in as_completed(running):
            yield running[done], done.result()


def _print(fault: Fault, outcome: Outcome) -> None:
    result = f"by {outcome.noticed_by}" if outcome.noticed_by else f"NOT noticed by {' '.join(fault.tests)}"
    print(f"{outcome.took_s:5.1f} s  {fault.name}: {result}", flush=True)
    if not outcome.noticed_by and outcome.output:  # the tests ended without a failed test
        print(outcome.output)


def _selected(options: argparse.Namespace) -> list[Fault]:
    lists = [FaultList.read(options.list)] if options.list else fault_lists()
    names = options.only or [""]
    faults = [fault for fault in to_plant(lists) if any(part in fault.name for part in names)]
    if options.sample and options.sample < len(faults):
        seed = options.seed or _commit()
        print(f"{options.sample} of {len(faults)} planted faults (--seed {seed})")
        return random.Random(seed).sample(faults, options.sample)
    return faults


def _commit() -> str:
    """The default seed: each commit plants another sample, and the same commit the same sample."""
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    return result.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only faults whose name contains NAME")
    parser.add_argument("--list", type=Path, metavar="FILE", help="only the faults of this TOML file")
    parser.add_argument("--sample", type=int, metavar="N", help="only N faults, selected at random")
    parser.add_argument("--seed", help="the seed of the sample (default: the commit)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="the number of faults at a time (default: 2)")
    parser.add_argument("--write-table", action="store_true", help=f"only write {PAGE.relative_to(ROOT)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
