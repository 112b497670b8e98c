"""`python -m tests.mutants`: plants the kept faults one at a time, and fails when the named tests do not notice one.

The tests of each fault run without it first, alone: those that fail then say nothing about it.
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

from tests.mutants.faults import ROOT, Fault, FaultList, kept_lists, to_plant
from tests.mutants.page import PAGE, page
from tests.mutants.planting import Copy, Outcome, copies


def main() -> int:
    """The exit code: 0 when every fault was noticed, 1 when one was not, 2 when nothing could be said."""
    options = _options()
    if options.write_table:
        PAGE.write_text(page())
        return 0
    faults = _chosen(options)
    if not faults:
        print("no fault has such a name", file=sys.stderr)
        return 2
    with copies(min(options.jobs, len(faults))) as free:
        survivors = []
        for fault, outcome in _outcomes(faults, free):
            _print(fault, outcome)
            if outcome.noticed_by is None:
                survivors.append(fault.name)
    print(f"{len(faults) - len(survivors)} of {len(faults)} planted faults were noticed")
    if survivors:
        print(f"not noticed: {' '.join(survivors)}")
    return 1 if survivors else 0


def _outcomes(faults: list[Fault], every_copy: list[Copy]) -> Iterator[tuple[Fault, Outcome]]:
    """As they come: each copy has one fault at a time."""
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for each in every_copy:
        free.put(each)

    def outcome(fault: Fault) -> Outcome:
        copy = free.get()
        try:
            return copy.outcome(fault)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(every_copy)) as pool:
        running = {pool.submit(outcome, fault): fault for fault in faults}
        for done in as_completed(running):
            yield running[done], done.result()


def _print(fault: Fault, outcome: Outcome) -> None:
    said = f"by {outcome.noticed_by}" if outcome.noticed_by else f"NOT noticed by {' '.join(fault.tests)}"
    print(f"{outcome.took_s:5.1f} s  {fault.name}: {said}", flush=True)
    if not outcome.noticed_by and outcome.said:  # the tests ended in another way than by failing
        print(outcome.said)


def _chosen(options: argparse.Namespace) -> list[Fault]:
    lists = [FaultList.read(options.list)] if options.list else kept_lists()
    wanted = options.only or [""]
    faults = [fault for fault in to_plant(lists) if any(part in fault.name for part in wanted)]
    if options.sample and options.sample < len(faults):
        seed = options.seed or _commit()
        print(f"{options.sample} of {len(faults)} planted faults (--seed {seed})")
        return random.Random(seed).sample(faults, options.sample)
    return faults


def _commit() -> str:
    """So that each commit tries another sample, and a sample can be had again."""
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only faults with this in their names")
    parser.add_argument("--list", type=Path, metavar="FILE", help="only the faults of this TOML file")
    parser.add_argument("--sample", type=int, metavar="N", help="only that many, chosen by chance")
    parser.add_argument("--seed", help="what the sample depends on (default: the commit)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many are tried at a time (default: 2)")
    parser.add_argument("--write-table", action="store_true", help=f"only write {PAGE.relative_to(ROOT)} anew")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
