"""`slipway runs`: lists runs of all threads, and operates one run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer

from slipway.clock import Clock
from slipway.commands.lists import printable, time_option_us
from slipway.commands.operator_commands import By, Config, Reason, RunId, execute, opened, operator, operator_settings
from slipway.commands.run_list import as_json, as_table, list_runs, phases_of
from slipway.errors import ConfigError
from slipway.health import start_checks
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.run_operations.operations import OperatedRun, RunOperations
from slipway.runs.audit import AuditEntry, AuditTrail
from slipway.runs.cancel_reasons import Action
from slipway.runs.scripts import RunScripts
from slipway.runs.search import RunQuery
from slipway.runs.store import RunStore
from slipway.serialization.json_encoding import dumps

if TYPE_CHECKING:
    from slipway.services import Services

Repeat = Annotated[bool, typer.Option("--repeat", help="Permit that tools that write act again.")]
Version = Annotated[str | None, typer.Option(help="On this version of its graph, and on no other.")]

runs: Final = typer.Typer(invoke_without_command=True, help="Lists runs of all threads, or operates one run.")


@runs.callback()
def list_all(
    context: typer.Context,
    config: Config = None,
    phase: Annotated[list[str] | None, typer.Option(help="In this phase; may be repeated.")] = None,
    graph: Annotated[str | None, typer.Option(help="Of this graph.")] = None,
    assistant: Annotated[str | None, typer.Option(help="Of the assistant with this id.")] = None,
    owner: Annotated[str | None, typer.Option(help="For the user with this identity.")] = None,
    error_code: Annotated[str | None, typer.Option(help="Failed with this code.")] = None,
    created_after: Annotated[str | None, typer.Option(help="Created at this time or later, in ISO 8601.")] = None,
    created_before: Annotated[str | None, typer.Option(help="Created before this time, in ISO 8601.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="List at most so many runs.")] = 50,
    oldest: Annotated[bool, typer.Option("--oldest", help="List the oldest runs first.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each run.")] = False,
) -> None:
    """Lists runs of all threads, the newest first, or operates one run."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings_and_logs("runs", config)
    query = RunQuery(
        phases=phases_of(phase or ()),
        graph_id=graph,
        assistant_id=assistant,
        owner=owner,
        error_code=error_code,
        created_from_us=time_option_us("--created-after", created_after),
        created_before_us=time_option_us("--created-before", created_before),
    )
    found = execute(lambda: list_runs(settings, query, limit=limit, oldest_first=oldest))
    typer.echo(as_json(found) if json else as_table(found))


@runs.command()
def audit(run: RunId, config: Config = None) -> None:
    """Prints the audit trail of a run: a line of JSON for each entry, the oldest first."""
    settings = load_settings_and_logs("runs", config)

    async def read() -> list[AuditEntry]:
        async with opened(settings, "runs") as (pipeline, shards):
            scripts = RunScripts(pipeline, shards)
            await RunStore(pipeline, shards.records, scripts, event_ttl_s=settings.event_ttl_s).find(run)
            return await AuditTrail(pipeline, shards.records, scripts).read(run)

    for entry in execute(read):
        typer.echo(dumps(entry.public()).decode())


@runs.command()
def pause(run: RunId, by: By = None, reason: Reason = None, config: Config = None) -> None:
    """Stops a run before its next superstep, until it is resumed."""
    _operate(config, lambda operations: operations.pause(run, operator(by, reason)))


@runs.command()
def resume(
    run: RunId,
    by: By = None,
    reason: Reason = None,
    version: Version = None,
    config: Config = None,
) -> None:
    """Continues a paused run."""
    _operate(config, lambda operations: operations.resume(run, operator(by, reason), version))


@runs.command()
def cancel(
    run: RunId,
    by: By = None,
    reason: Reason = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Delete the run and its checkpoints.")] = False,
    config: Config = None,
) -> None:
    """Cancels a run that has not ended."""
    action = Action.ROLLBACK if rollback else Action.INTERRUPT
    _operate(config, lambda operations: operations.cancel(run, operator(by, reason), action))


@runs.command()
def retry(
    run: RunId,
    checkpoint: Annotated[str | None, typer.Option(help="The checkpoint to start from; by default the last.")] = None,
    repeat: Repeat = False,
    by: By = None,
    reason: Reason = None,
    version: Version = None,
    config: Config = None,
) -> None:
    """Continues the chain of a run that failed or was cancelled, as a new run."""
    who = operator(by, reason)
    _repair(config, lambda each: each.run_repairs.retry(run, who, checkpoint, repeat=repeat, version=version))


@runs.command("skip-node")
def skip_node(
    run: RunId,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node that is next, also of a subgraph.")],
    by: By = None,
    reason: Reason = None,
    config: Config = None,
) -> None:
    """Continues a paused, failed or cancelled run without the result of a node."""
    _repair(config, lambda services: services.run_repairs.skip_node(run, operator(by, reason), node))


@runs.command("edit-state")
def edit_state(
    run: RunId,
    values: Annotated[str, typer.Argument(metavar="JSON", help="What the node returns: an object, by channel.")],
    as_node: Annotated[str | None, typer.Option(help="The node; by default the one that wrote last.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Whether the run continues.")] = True,
    repeat: Repeat = False,
    by: By = None,
    reason: Reason = None,
    config: Config = None,
) -> None:
    """Writes a state as if a node had returned it, then continues a paused, failed or cancelled run."""
    from slipway.run_operations.repairs import StateEdit

    try:
        edit = StateEdit(orjson.loads(values), as_node)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"JSON: {values!r} is not valid JSON: {error}") from None
    _repair(
        config,
        lambda services: services.run_repairs.edit_state(run, operator(by, reason), edit, resume=resume, repeat=repeat),
    )


@runs.command(name="raise-ceiling")
def raise_ceiling(
    run: RunId,
    limit: Annotated[list[str], typer.Option(help="Such as max_cost_usd=5; may be repeated.")],
    resume: Annotated[bool, typer.Option("--resume", help="Then continue the run.")] = False,
    by: By = None,
    reason: Reason = None,
    config: Config = None,
) -> None:
    """Raises ceilings of a run, and of the runs that continue its chain."""
    limits = _limits_of(limit)
    _repair(
        config,
        lambda services: services.ceiling_raises.raise_ceilings(run, limits, operator(by, reason), resume=resume),
    )


def _limits_of(texts: Sequence[str]) -> dict[str, float]:
    limits = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            limits[name.strip()] = float(number)
        except ValueError:
            raise ConfigError(f"--limit: {text!r} must be a ceiling and its limit, such as max_cost_usd=5") from None
    return limits


def _repair(config: Config, operation: Callable[[Services], Awaitable[OperatedRun]]) -> None:
    """Executes an operation that needs the project's graphs."""
    settings = operator_settings("runs", config)
    from slipway.graphs.registry import Registry
    from slipway.services import open_services

    async def repair() -> OperatedRun:
        await start_checks.check(settings, settings.redis, upgrade=False)
        graphs = await Registry.load(settings.config, release=settings.release)
        async with open_services(settings, graphs, "cli") as services:
            return await operation(services)

    typer.echo(_sentence(execute(repair)))


def _operate(config: Config, operation: Callable[[RunOperations], Awaitable[OperatedRun | None]]) -> None:
    settings = operator_settings("runs", config)

    async def operate() -> OperatedRun | None:
        async with opened(settings, "runs") as (pipeline, shards):
            scripts = RunScripts(pipeline, shards)
            store = RunStore(pipeline, shards.records, scripts, event_ttl_s=settings.event_ttl_s)
            return await operation(RunOperations(store, scripts, Clock(), event_ttl_s=settings.event_ttl_s))

    typer.echo(_sentence(execute(operate)))


def _sentence(operated: OperatedRun | None) -> str:
    if operated is None:
        return "the run and its checkpoints are deleted"
    run = operated.run
    unchanged = "" if operated.changed else " (nothing to change)"
    reason = f": {run.reason}" if run.reason else ""
    return printable(f"run {run.run_id} is {run.phase.value}{reason}{unchanged}")
