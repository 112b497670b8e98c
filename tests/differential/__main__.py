"""`python -m tests.differential [--only PATTERN] [--report FILE]`: exit code 0 when every difference is meant."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.differential import reference, report
from tests.differential.playing import Played, play_all, played
from tests.differential.recording import Step
from tests.differential.scenarios import Scenario, all_scenarios
from tests.differential.servers import both

HERE = Path(__file__).parent
DEFAULT_ENVIRONMENT = HERE.parent.parent / ".differential"


def main() -> int:
    """Make the reference's environment, play, compare, report."""
    options = _options()
    scenarios = [found for found in all_scenarios() if re.search(options.only, found.name)]
    if options.list:
        print("\n".join(found.name for found in scenarios))
        return 0
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="differential-"))
    if options.again:
        found = [one for one in _recorded(options.again) if re.search(options.only, one.scenario)]
    else:
        reference.install(options.environment)
        found = asyncio.run(_run(scenarios, options.environment, work))
        (work / "recordings.json").write_text(json.dumps([asdict(one) for one in found], indent=1))
    verdict = report.judge(found, whole=not options.only)
    said = report.text(verdict)
    print(said)
    print(f"{time.monotonic() - began:.0f} s; logs and recordings: {work}")
    if options.report:
        options.report.write_text(said)
    return 0 if verdict.good else 1


async def _run(scenarios: Sequence[Scenario], environment: Path, work: Path) -> list[Played]:
    async with both(environment, work) as (theirs, ours):
        return await play_all(scenarios, theirs, ours)


def _recorded(file: Path) -> list[Played]:
    """What an earlier run recorded, compared anew."""
    return [
        played(one["scenario"], *([Step(**step) for step in one[side]] for side in ("reference", "ours")))
        for one in json.loads(file.read_text())
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="scenarios whose name has this regular expression"
    )
    parser.add_argument("--list", action="store_true", help="only their names")
    parser.add_argument("--again", type=Path, metavar="FILE", help="compare what an earlier run recorded once more")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report there, too")
    parser.add_argument(
        "--environment",
        type=Path,
        default=DEFAULT_ENVIRONMENT,
        metavar="FOLDER",
        help="where the reference server is installed (default: .differential)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
