"""`slipway check-deploy` says which stored threads the code in this folder could not continue."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Final

import typer

from slipway.commands.graph_diff import as_text
from slipway.commands.lists import printable
from slipway.commands.operator_commands import Config
from slipway.errors import ConfigError
from slipway.graphs.structure_diff import differences
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps

if TYPE_CHECKING:
    from slipway.deploy_checks.check import CheckedVerdict, DeployCheck
    from slipway.deploy_checks.report import DeployReport
    from slipway.graphs.registry import Registry
    from slipway.settings import Settings

HOLDS: Final = 1
"""The exit code if threads are held, and may not be."""

AllowHold = Annotated[
    list[str] | None,
    typer.Option("--allow-hold", metavar="CODE|GRAPH", help="Threads may be held for this reason, or of this graph."),
]


def add_to(cli: typer.Typer) -> None:
    """Adds the command to the command line."""
    cli.command("check-deploy")(check_deploy)


def check_deploy(
    allow_hold: AllowHold = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each thread.")] = False,
    config: Config = None,
) -> None:
    """Says which stored threads the code in this folder could not continue. Reads only; exit code 1: some are held."""
    settings = load_settings_and_logs("check-deploy", config)
    lines, held = asyncio.run(_check(settings, allow_hold or (), as_json=json))
    for line in lines:
        typer.echo(line)
    if held:
        raise typer.Exit(HOLDS)


async def _check(settings: Settings, allowed: Collection[str], *, as_json: bool) -> tuple[list[str], int]:
    from slipway.graphs.registry import Registry
    from slipway.health import start_checks

    await start_checks.check(settings, settings.redis, upgrade=False)
    graphs = await Registry.load(settings.config, release=settings.release)
    if failures := graphs.failures():
        raise ConfigError("; ".join(f"graph {name!r} cannot be served: {why}" for name, why in failures.items()))
    return await report_of(settings, graphs, allowed, as_json=as_json)


async def report_of(
    settings: Settings, graphs: Registry, allowed: Collection[str], *, as_json: bool = False
) -> tuple[list[str], int]:
    """The lines of the report, and how many threads are held that may not be. With `as_json`, a line for each thread is
    printed at once, and the lines are the warnings; without threads, too. Raises `ConfigError` for a code in `allowed`
    that does not exist, and `StoreUnavailable`."""
    from slipway.deploy_checks.run_check import run_check
    from slipway.progress import progress_on_stderr

    _check_allowed(allowed)
    with progress_on_stderr() as show:
        report, check = await run_check(
            settings, graphs, allowed=allowed, receive=_print_json if as_json else lambda checked: None, show=show
        )
    if as_json:
        return [dumps(warning.public()).decode() for warning in report.warnings], report.held
    if not report.read:
        return [printable(line) for line in report.warning_lines()], 0
    return [*_differences(report, check), *map(printable, report.lines())], report.held


def _check_allowed(allowed: Collection[str]) -> None:
    from slipway.deploy_checks.new_versions import DEPLOY_REASONS
    from slipway.graphs.verdicts import REASON_CODES
    from slipway.thread_moves.reasons import MOVE_REASONS
    from slipway.value_problems import did_you_mean

    known = [*REASON_CODES, *MOVE_REASONS, *DEPLOY_REASONS]
    for name in allowed:
        group, dot, _ = name.partition(".")
        if dot and name not in known and group in {code.partition(".")[0] for code in known}:
            raise ConfigError(f"--allow-hold: there is no reason {name!r}{did_you_mean(name, known)}")


def _print_json(checked: CheckedVerdict) -> None:
    from slipway.deploy_checks.report import json_of

    sys.stdout.buffer.write(dumps(json_of(checked)) + b"\n")


def _differences(report: DeployReport, check: DeployCheck) -> list[str]:
    """What differs between the structures with which threads were executed and those on which they would continue."""
    texts = []
    for (graph_id, old, new), schemas in sorted(report.schemas.items()):
        graph = check.new.get(graph_id)
        after = None if graph is None or not new else graph.structures.get(new)
        for schema in sorted(schemas):
            before = check.structures.get(schema)
            if before is not None and after is not None and before.fingerprint != after.fingerprint:
                same_name = f" (executed with other code, schema {schema})" if old == new else ""
                texts.append(as_text(f"{graph_id}@{old}{same_name}", f"{graph_id}@{new}", differences(before, after)))
    return [line for text in texts for line in text.splitlines()]
