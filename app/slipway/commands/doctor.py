"""`slipway doctor` prints the go-live checklist and repairs records; `slipway doctor record` stores evidence for it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from slipway import failpoints
from slipway.commands.lists import time_option_us
from slipway.commands.operator_commands import By, Config, execute, opened, operator
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps

if TYPE_CHECKING:
    from slipway.go_live.checklist import Checklist
    from slipway.go_live.evidence import Evidence
    from slipway.settings import Settings

FAILED: Final = 1
"""The exit code if a line failed or, with `--strict`, a warning is not accepted."""

_COLOURS: Final = {"fail": "red", "warn": "yellow", "accepted": "cyan", "pass": "green"}

doctor: Final = typer.Typer(
    invoke_without_command=True, help="Prints the go-live checklist, repairs stuck records, and records tests."
)


@doctor.callback()
def check(
    context: typer.Context,
    config: Config = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair the problems of records that are found; checks nothing else.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PART", help="Only this part; may be repeated.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="PART", help="Not this part; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings that nobody accepted fail too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prints what must be right before people depend on this deployment: each line with the fix. Changes nothing
    without --repair. Exit code 1: a line failed."""
    if context.invoked_subcommand is not None:
        return
    failpoints.arm()
    environment = dict(os.environ)
    settings = load_settings_and_logs("doctor", config)
    from slipway.go_live.checklist import chosen_parts

    chosen = chosen_parts(only or (), skip or (), repair=repair)
    checklist = asyncio.run(_checked(settings, environment, chosen, repair))
    if json:
        typer.echo(dumps(checklist.public()).decode())
    else:
        from slipway.go_live.report_text import text_of

        # click removes the colours where standard output is no terminal
        typer.echo(text_of(checklist) if environment.get("NO_COLOR") else text_of(checklist, _paint))
    if not checklist.is_ready(strict=strict):
        raise typer.Exit(FAILED)


@doctor.command()
def record(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="load-test, failure-test, backup or restore-test.")],
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="When it happened; by default now.")] = None,
    note: Annotated[str, typer.Option("--note", help="What was done, and the result.")] = "",
    by: By = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also if the evidence on file is of a later time, which was wrong.")
    ] = False,
    config: Config = None,
) -> None:
    """Records that a test or a backup was made, in Redis: the checklist shows its age. Of each kind the evidence of the
    latest time is kept, and printed. Exit code 2: the kind, the time or a text is wrong."""
    settings = load_settings_and_logs("doctor", config)
    at_us = time_option_us("--at", at)
    new = _new_evidence(kind, at_us, operator(by, None).by, note)
    on_file = execute(lambda: _record(settings, new, replace))
    typer.echo(dumps(on_file.public()).decode())
    if on_file.at_us > new.at_us:
        typer.echo(
            f"nothing was recorded: evidence of a later time is on file; --replace replaces it by that of "
            f"{new.public()['at']}",
            err=True,
        )


@doctor.command()
def evidence(config: Config = None) -> None:
    """Prints what was recorded, one JSON object a line."""
    settings = load_settings_and_logs("doctor", config)
    for each in execute(lambda: _evidence(settings)):
        typer.echo(dumps(each.public()).decode())


async def _checked(settings: Settings, environment: dict[str, str], chosen: list[str], repair: bool) -> Checklist:
    from slipway.go_live.checklist import run_checklist
    from slipway.progress import progress_on_stderr

    with progress_on_stderr() as show:
        return await run_checklist(settings, environment, chosen=chosen, repair=repair, show=show)


def _new_evidence(kind: str, at_us: int | None, by: str, note: str) -> Evidence:
    from slipway.clock import Clock, microseconds_of
    from slipway.errors import ConfigError, InvalidRequest
    from slipway.go_live.evidence import new_evidence

    try:
        return new_evidence(kind, at_us, by, note, microseconds_of(Clock().now()))
    except InvalidRequest as error:  # a wrong command line, not a state that does not permit it
        raise ConfigError(str(error)) from error


async def _record(settings: Settings, new: Evidence, replace: bool) -> Evidence:
    from slipway.go_live.evidence import EvidenceStore

    async with opened(settings, "doctor", seals=False) as (pipeline, shards):
        return await EvidenceStore(pipeline, shards.processes).record(new, replace=replace)


async def _evidence(settings: Settings) -> list[Evidence]:
    from slipway.go_live.evidence import EvidenceStore

    async with opened(settings, "doctor", seals=False) as (pipeline, shards):
        return list((await EvidenceStore(pipeline, shards.processes).all()).values())


def _paint(counts_as: str, text: str) -> str:
    return typer.style(text, fg=_COLOURS[counts_as], bold=counts_as == "fail")
