"""The command line: `slipway dev`, `slipway web`, `slipway worker`, `slipway release`, `slipway doctor`,
`slipway runs`, `slipway why`, `slipway trace`, `slipway threads move`, `slipway keys`, `slipway reviews`,
`slipway hooks`, `slipway rollout`, `slipway versions`, `slipway drain`, `slipway encryption status`,
`slipway encryption rotate`, `slipway checkpoints migrate`, `slipway checkpoints prune`, `slipway schema`,
`slipway version`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import structlog
import typer

from slipway import failpoints
from slipway.commands import check_deploy, graph_diff, switches, trace, versions, why
from slipway.commands.deliveries import deliveries
from slipway.commands.doctor import doctor
from slipway.commands.encryption import encryption
from slipway.commands.hooks import hooks
from slipway.commands.keys import keys
from slipway.commands.reviews import reviews
from slipway.commands.rollouts import rollout
from slipway.commands.runs import runs
from slipway.commands.threads import threads
from slipway.commands.tools import tools
from slipway.commands.webhooks import webhooks
from slipway.errors import ConfigError
from slipway.health import start_checks
from slipway.processes.child_commands import name_process, slipway, watch_parent
from slipway.processes.exit_codes import exit_on_errors_to_fix
from slipway.processes.exit_in_time import exit_after
from slipway.processes.forking import Forker, is_supported, run_without_threads
from slipway.processes.garbage_collection import FULL_AFTER_UNDER_LOAD, collect_when_idle, freeze_loaded_objects
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.redis.connection_budget import needed
from slipway.redis.wait_for_redis import wait_for_redis
from slipway.settings import Settings
from slipway.stop_times import kill_after_s
from slipway.versions import version_of

if TYPE_CHECKING:
    from slipway.graphs.registry import Registry

log = structlog.get_logger(__name__)

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

checkpoints = typer.Typer(no_args_is_help=True, help="Stored checkpoints.")
cli.add_typer(checkpoints, name="checkpoints")
cli.add_typer(encryption, name="encryption")
cli.add_typer(runs, name="runs")
cli.add_typer(keys, name="keys")
cli.add_typer(reviews, name="reviews")
cli.add_typer(hooks, name="hooks")
cli.add_typer(rollout, name="rollout")
cli.add_typer(deliveries, name="deliveries")
cli.add_typer(doctor, name="doctor")
cli.add_typer(webhooks, name="webhooks")
cli.add_typer(threads, name="threads")
cli.add_typer(tools, name="tools")
switches.add_to(cli)
versions.add_to(cli)
graph_diff.add_to(switches.graph)
check_deploy.add_to(cli)
why.add_to(cli)
trace.add_to(cli)


class CheckpointerKind(StrEnum):
    """The values of SLIPWAY_CHECKPOINTER."""

    CORE = "core"
    LANGGRAPH_REDIS = "langgraph-redis"


Config = Annotated[Path | None, typer.Option(help="Path of langgraph.json, which names the graphs.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free port.")]


def main() -> None:
    """The console script."""
    with exit_on_errors_to_fix():
        cli()


@cli.command()
def dev(
    config: Config = None,
    host: Host = None,
    port: Port = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder where the embedded Valkey stores its data.")] = None,
) -> None:
    """Starts everything on this machine: Valkey (unless REDIS_URL is set), one web and one worker process."""
    name_process("slipway dev")
    settings = load_settings_and_logs("dev", config, host=host, port=port, data_dir=data_dir)
    from slipway.processes.dev import dev

    dev(settings, prepared_forker)


@cli.command()
def web(
    config: Config = None,
    host: Host = None,
    port: Port = None,
    fd: Annotated[int | None, typer.Option(hidden=True, help="Number of an inherited listening socket.")] = None,
) -> None:
    """Serves the API, the event streams and the pages."""
    name_process("slipway web")
    watch_parent()
    failpoints.arm()
    settings = load_settings_and_logs("web", config, host=host, port=port)
    _run(_web(settings, fd))


@cli.command()
def worker(
    config: Config = None,
    processes: Annotated[int | None, typer.Option(min=1, max=64, help="Processes to start.")] = None,
) -> None:
    """Executes runs."""
    name_process("slipway worker")
    watch_parent()
    failpoints.arm()
    settings = load_settings_and_logs("worker", config, worker_processes=processes)
    if settings.worker_processes == 1:
        _run(_worker(settings))
    else:
        asyncio.run(_check_redis(settings))
        run_without_threads(_workers(settings, prepared_forker()))


@cli.command()
def release(config: Config = None, allow_hold: check_deploy.AllowHold = None) -> None:
    """Checks settings, Redis, every graph and all stored threads; a non-zero exit code stops a deploy."""
    settings = load_settings_and_logs("release", config)
    problems = asyncio.run(_release(settings, allow_hold or ()))
    for problem in problems:
        typer.echo(f"slipway: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo("settings, Redis and graphs are ready to serve")


@checkpoints.command()
def migrate(
    source: Annotated[CheckpointerKind, typer.Option("--from", help="Checkpointer to read from.")],
    target: Annotated[CheckpointerKind, typer.Option("--to", help="Checkpointer to write to.")],
    config: Config = None,
    delete_source: Annotated[
        bool, typer.Option("--delete-source", help="Delete each thread from the source after it was compared.")
    ] = False,
) -> None:
    """Copies all threads to another checkpointer and compares them; a non-zero exit code means that some failed."""
    settings = load_settings_and_logs("migrate", config)
    if not asyncio.run(_migrate(settings, source, target, delete_source)):
        raise typer.Exit(1)


@checkpoints.command()
def prune(
    config: Config = None,
    thread: Annotated[str | None, typer.Option("--thread", help="Only this thread.")] = None,
    graph: Annotated[str | None, typer.Option("--graph", help="Only threads of this graph.")] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Keep so many, whatever is configured for the graph.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False,
) -> None:
    """Deletes all checkpoints of threads but the last ones, interrupts and forks. May be stopped and repeated."""
    failpoints.arm()
    settings = load_settings_and_logs("prune", config)
    typer.echo(asyncio.run(_prune(settings, thread, graph, keep, dry_run)))


@cli.command()
def schema() -> None:
    """Prints the JSON schema of langgraph.json, for editors."""
    from slipway.graphs.langgraph_json import LangGraphDocument

    typer.echo(orjson.dumps(LangGraphDocument.model_json_schema(), option=orjson.OPT_INDENT_2).decode())


@cli.command()
def version() -> None:
    """Prints the installed version."""
    typer.echo(version_of("slipway"))


def _run(process: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(exit_after(process))


async def _web(settings: Settings, fd: int | None) -> None:
    """Serves until a signal arrives. Requests in progress then have `drain_s` seconds to end."""
    await wait_for_redis(settings.redis, connections=needed("web"))
    await start_checks.check(settings, settings.redis)
    from slipway.api.application import create_app
    from slipway.api.auth import first_key_check
    from slipway.api.host_app.extensions import load_extensions
    from slipway.api.web_server import WebServer, server_config
    from slipway.graphs.langgraph_json import read
    from slipway.graphs.registry import Registry
    from slipway.services import Services, checked_arq_application, open_services

    graphs = await Registry.load(settings.config, release=settings.release)
    project = read(settings.config)
    extensions = await load_extensions(project, graphs.load_object, settings)
    await first_key_check.check(settings, project.auth)
    await checked_arq_application(settings, project, graphs, "web")  # uvicorn would log an error of it as a traceback
    freeze_loaded_objects(full_after=FULL_AFTER_UNDER_LOAD)

    def opener() -> AbstractAsyncContextManager[Services]:
        return open_services(settings, graphs, "web")

    app = create_app(opener, settings, extensions, dev=fd is not None)
    server = WebServer(server_config(app, settings), app)
    if fd is None:
        log.info(
            "web.starting",
            host=settings.host,
            port=settings.port,
            graphs=graphs.names(),
            checkpointer=settings.checkpointer,
            auth=extensions.auth is not None,
            allowed_hosts=settings.allowed_hosts,
        )
    collecting = asyncio.create_task(collect_when_idle(), name="garbage collection")
    try:
        await server.serve(sockets=None if fd is None else [socket.socket(fileno=fd)])
    finally:
        collecting.cancel()
    if not server.started:
        raise typer.Exit(1)


async def _worker(settings: Settings) -> None:
    """Executes runs until a signal arrives. Then each run is released: at its next superstep, or within its superstep
    when `drain_s` seconds have passed."""
    from slipway_workers.start import drain_on_signals, work

    await work(settings, drain_on_signals)


async def _check_redis(settings: Settings) -> None:
    await wait_for_redis(settings.redis)
    await start_checks.check(settings, settings.redis)


async def _workers(settings: Settings, forker: Forker | None) -> None:
    """Starts several worker processes under a supervisor."""
    from slipway.processes.lease_reclaim import lease_reclaimer
    from slipway.processes.supervisor import ChildSpec, Supervisor, stop_requests

    supervisor, stop_within_s = Supervisor(), kill_after_s(settings.drain_s)
    supervisor.forker = forker
    arguments = ("worker", "--config", str(settings.config.resolve()), "--processes", "1")
    with stop_requests(on_second=supervisor.kill) as stop:
        try:
            for number in range(1, settings.worker_processes + 1):
                spec = ChildSpec(
                    f"worker-{number}",
                    slipway(*arguments),
                    arguments,
                    stop_within_s=stop_within_s,
                    on_exit=lease_reclaimer(settings, forker),
                )
                await supervisor.start_child(spec)
            await supervisor.run_until(stop)
        finally:
            await supervisor.stop()


def prepared_forker() -> Forker | None:
    """Imports the modules that web and worker processes import at their start, but not the project's code. Returns what
    forks such processes; None if the system does not support it."""
    if not is_supported():
        return None
    import uvicorn.lifespan.on
    import uvicorn.protocols.http.httptools_impl  # noqa: F401
    import uvloop  # noqa: F401

    import slipway.api.application  # noqa: F401
    import slipway_workers.process  # noqa: F401

    return Forker(main)


async def _release(settings: Settings, allowed_holds: Sequence[str]) -> list[str]:
    """What keeps the release from being deployed. What is stored is only upgraded if there is nothing."""
    from slipway.api.host_app.extensions import load_extensions
    from slipway.arq_jobs.redis_pool import problem_with_own_redis
    from slipway.graphs.langgraph_json import read
    from slipway.graphs.registry import Registry
    from slipway.health.release_checks import project_problems, redis_problems
    from slipway.redis.connection import Address
    from slipway.services import checked_arq_application

    problems = await redis_problems(settings, upgrade=False)  # before the variables of the project's `env` are set
    graphs = await Registry.load(settings.config, release=settings.release)
    unloadable = [f"graph {name!r} cannot be served: {reason}" for name, reason in graphs.failures().items()]
    config = read(settings.config)
    unloadable += await project_problems(config, graphs, settings.model)
    try:
        await load_extensions(config, graphs.load_object, settings)
    except ConfigError as error:
        unloadable.append(str(error))
    try:
        arq = await checked_arq_application(settings, config, graphs, "worker")  # needs more connections than "web"
        if arq is not None and (problem := await problem_with_own_redis(arq, Address(settings.arq_redis))) is not None:
            unloadable.append(problem)
    except ConfigError as error:
        unloadable.append(str(error))
    return (
        [*problems, *unloadable]
        or await _threads_held(settings, graphs, allowed_holds)
        or await redis_problems(settings)
    )


async def _threads_held(settings: Settings, graphs: Registry, allowed: Sequence[str]) -> list[str]:
    """Prints which stored threads the release continues; a problem if it could not continue some."""
    lines, held = await check_deploy.report_of(settings, graphs, allowed)
    for line in lines:
        typer.echo(line)
    if not held:
        return []
    return [f"{held} stored threads could not continue (docs/versions.md); --allow-hold CODE permits a reason"]


async def _migrate(settings: Settings, source: CheckpointerKind, target: CheckpointerKind, delete_source: bool) -> bool:
    from slipway.checkpoints.migrate_command import migrate
    from slipway.graphs.registry import Registry

    graphs = await Registry.load(settings.config, release=settings.release)
    return await migrate(settings, graphs, source.value, target.value, delete_source=delete_source)


async def _prune(settings: Settings, thread: str | None, graph: str | None, keep: int | None, dry_run: bool) -> str:
    from slipway.checkpoints.prune_command import PruneOptions, prune
    from slipway.graphs.registry import Registry

    graphs = await Registry.load(settings.config, release=settings.release)
    return await prune(settings, graphs, PruneOptions(thread, graph, keep, dry_run))


if __name__ == "__main__":
    main()
