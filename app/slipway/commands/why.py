"""`slipway why`: what a run waits for, since when, and who can act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slipway.commands.lists import printable
from slipway.commands.operator_commands import Config, RunId, execute, opened
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.redaction.redact import redact_json, redact_text
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.waiting_reasons.record import Why


def add_to(cli: typer.Typer) -> None:
    """Adds this command to the command line."""
    cli.command()(why)


def why(
    run: RunId,
    as_json: Annotated[bool, typer.Option("--json", help="Prints the response of GET /ops/runs/RUN/why.")] = False,
    config: Config = None,
) -> None:
    """Says what a run waits for, since when, and who can act."""
    settings = load_settings_and_logs("why", config)
    found = execute(lambda: _why(settings, run))
    if as_json:
        typer.echo(redact_json(dumps(found.public())).decode())
        return
    from slipway.waiting_reasons.text import lines_of

    for line in lines_of(found):
        typer.echo(printable(redact_text(line)))


async def _why(settings: Settings, run_id: str) -> Why:
    from slipway.waiting_reasons.reasons import WaitingReasons

    async with opened(settings, "why", seals=False) as (pipeline, shards):
        return await WaitingReasons(pipeline, shards, settings).why(run_id)
