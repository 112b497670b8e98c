"""`python -m tests.differential [--only PATTERN] [--report FILE]`: exit code 0 if all differences are intended."""

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
from tests.differential.recording import Step
from tests.differential.runner import ScenarioResult, compare, execute_all
from tests.differential.scenarios import Scenario, all_scenarios
from tests.differential.servers import both_servers

HERE = Path(__file__).parent
DEFAULT_ENVIRONMENT = HERE.parent.parent / ".differential"


def main() -> int:
    """Installs the reference server, executes the scenarios, compares the recordings and prints the report."""
    options = _options()
    scenarios = [scenario for scenario in all_scenarios() if re.search(options.only, scenario.name)]
    if options.list:
        print("\n".join(scenario.name for scenario in scenarios))
        return 0
    started = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="differential-"))
    if options.recordings:
        results = [result for result in _read(options.recordings) if re.search(options.only, result.scenario)]
    else:
        reference.install(options.environment)
        results = asyncio.run(_execute(scenarios, options.environment, work))
        (work / "recordings.json").write_text(json.dumps([asdict(result) for result in results], indent=1))
    outcome = report.create_report(results, complete=not options.only)
    text = report.as_markdown(outcome)
    print(text)
    print(f"{time.monotonic() - started:.0f} s; logs and recordings: {work}")
    if options.report:
        options.report.write_text(text)
    return 0 if outcome.passed else 1


async def _execute(scenarios: Sequence[Scenario], environment: Path, work: Path) -> list[ScenarioResult]:
    async with both_servers(environment, work) as (reference_url, slipway_url):
        return await execute_all(scenarios, reference_url, slipway_url)


def _read(file: Path) -> list[ScenarioResult]:
    """Compares the recordings of an earlier execution again."""
    return [
        compare(result["scenario"], *([Step(**step) for step in result[server]] for server in ("reference", "slipway")))
        for result in json.loads(file.read_text())
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="execute the scenarios whose name matches this regular expression"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the scenarios and exit")
    parser.add_argument(
        "--recordings", type=Path, metavar="FILE", help="compare the recordings of an earlier execution, send nothing"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report to this file as well")
    parser.add_argument(
        "--environment",
        type=Path,
        default=DEFAULT_ENVIRONMENT,
        metavar="FOLDER",
        help="environment of the reference server (default: .differential)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
