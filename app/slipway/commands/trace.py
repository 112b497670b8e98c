"""`slipway trace`: the waterfall of a run and of its chain."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.commands.operator_commands import Config, RunId, execute, opened
from slipway.health import start_checks
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.redaction.redact import redact_json, redact_text
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.run_traces.record import AssembledTrace


def add_to(cli: typer.Typer) -> None:
    """Adds this command to the command line."""
    cli.command()(trace)


def trace(
    run: RunId,
    as_json: Annotated[bool, typer.Option("--json", help="Prints the response of GET /ops/runs/RUN/trace.")] = False,
    content: Annotated[
        bool, typer.Option("--content", help="With inputs and outputs of nodes, redacted; loads the graphs.")
    ] = False,
    width: Annotated[
        int | None, typer.Option(min=60, max=500, help="Columns; by default those of the terminal.")
    ] = None,
    config: Config = None,
) -> None:
    """Shows what happened when in a run and its chain: attempts, supersteps, nodes, calls, waits, webhooks."""
    settings = load_settings_and_logs("trace", config)
    found = execute(lambda: _with_content(settings, run) if content else _read(settings, run))
    if as_json:
        from slipway.run_traces.public_form import public

        typer.echo(redact_json(dumps(public(found, "tree", operator=True))).decode())
        return
    _print(found, width)


def _print(found: AssembledTrace, width: int | None) -> None:
    from rich.console import Console

    from slipway.run_traces.waterfall import Waterfall

    console = Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)
    columns = width or (console.width if sys.stdout.isatty() or "COLUMNS" in os.environ else 80)
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for line in Waterfall(found, columns, unicode=unicode).lines():
        shown = redact_text(line.plain)
        console.print(line if shown == line.plain else shown, soft_wrap=True)


async def _read(settings: Settings, run_id: str) -> AssembledTrace:
    from slipway.run_traces.reading import RunTraces

    async with opened(settings, "trace", seals=False) as (pipeline, shards):
        return await RunTraces(pipeline, shards, settings).of_run(run_id)


async def _with_content(settings: Settings, run_id: str) -> AssembledTrace:
    from slipway.graphs.registry import Registry
    from slipway.run_traces.contents import with_contents
    from slipway.services import open_services

    await start_checks.check(settings, settings.redis, upgrade=False)
    graphs = await Registry.load(settings.config, release=settings.release)
    async with open_services(settings, graphs, "cli") as services:
        found = await services.run_traces.of_run(run_id)
        options = {each.run_id: (await services.runs.find(each.run_id)).options for each in found.runs}
        return await with_contents(found, services.states, options)
