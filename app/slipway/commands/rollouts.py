"""The commands of rollouts: `slipway rollout set`, `promote`, `rollback`, `clear`, `status` and `history`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from slipway.commands.lists import printable, text_table
from slipway.commands.operator_commands import By, Config, Reason, execute, opened, operator, operator_settings
from slipway.errors import InvalidRequest
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.rollouts.changes import Change
    from slipway.rollouts.record import RequestRule
    from slipway.rollouts.status import RolloutStatus, VersionStatus
    from slipway.rollouts.store import RolloutStore

_Result = TypeVar("_Result")

rollout: Final = typer.Typer(no_args_is_help=True, help="Rolls versions of graphs out and back.")

Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="The name of the graph in langgraph.json.")]
Weights = Annotated[list[str], typer.Argument(metavar="VERSION=PERCENT%...", help="Shares of new threads: 2=10%.")]
Headers = Annotated[
    list[str] | None, typer.Option("--header", help="NAME=VALUE: new threads of requests with it get the version.")
]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", help="NAME=VALUE: new threads of runs with it get the version.")
]
NoTesters = Annotated[bool, typer.Option("--no-testers", help="Removes the rules of --header and --metadata.")]
Version = Annotated[str | None, typer.Argument(metavar="VERSION", help="By default the one that is ramping.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="The most entries.")]


@rollout.command("set")
def set_weights(
    graph_id: Graph,
    weights: Weights,
    header: Headers = None,
    metadata: Metadata = None,
    no_testers: NoTesters = False,
    reason: Reason = None,
    by: By = None,
    config: Config = None,
) -> None:
    """A share of the new threads gets a version; the others get the current one."""
    who = operator(by, reason)

    def change(store: RolloutStore) -> Awaitable[Change]:
        rules = [] if no_testers else _rules(header or [], metadata or []) or None
        return store.set_weights(graph_id, _weights(weights), by=who.by, reason=who.reason, testers=rules)

    _change(config, change)


@rollout.command()
def promote(
    graph_id: Graph, version: Version = None, reason: Reason = None, by: By = None, config: Config = None
) -> None:
    """Makes a version current."""
    who = operator(by, reason)
    _change(config, lambda store: store.promote(graph_id, version, by=who.by, reason=who.reason))


@rollout.command()
def rollback(graph_id: Graph, reason: Reason = None, by: By = None, config: Config = None) -> None:
    """Ends the ramp of a version or, if none is ramping, makes the version current that was current before."""
    who = operator(by, reason)
    _change(config, lambda store: store.roll_back(graph_id, by=who.by, reason=who.reason))


@rollout.command()
def clear(graph_id: Graph, reason: Reason = None, by: By = None, config: Config = None) -> None:
    """Deletes the rollout of a graph: langgraph.json decides again which version threads get."""
    who = operator(by, reason)
    _change(config, lambda store: store.clear(graph_id, by=who.by, reason=who.reason))


@rollout.command()
def status(
    graph_id: Annotated[str | None, typer.Argument(metavar="GRAPH", help="By default all graphs.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Shows each version with its state, the share of new threads that it really got, and how its runs ended."""
    settings = load_settings_and_logs("rollout", config)

    async def read(store: RolloutStore) -> list[RolloutStatus]:
        graphs = sorted(await store.all()) if graph_id is None else [graph_id]
        return [await store.status(graph) for graph in graphs]

    found = execute(lambda: _with_store(settings, read))
    if as_json:
        typer.echo("\n".join(dumps(each.public()).decode() for each in found))
    else:
        typer.echo("\n\n".join(map(status_text, found)) or "no graph has a rollout")


@rollout.command()
def history(graph_id: Graph, limit: Limit = 20, as_json: AsJson = False, config: Config = None) -> None:
    """Lists the changes of the rollout of a graph, the newest first: who, when, what and why."""
    settings = load_settings_and_logs("rollout", config)
    entries = execute(lambda: _with_store(settings, lambda store: store.history(graph_id, limit)))
    if as_json:
        typer.echo("\n".join(dumps(entry.public()).decode() for entry in entries))
        return
    lines = (f"{e.at}  {e.by}  {e.summary}{f' ({e.reason})' if e.reason else ''}" for e in entries)
    typer.echo("\n".join(map(printable, lines)) or f"graph {graph_id!r} was never rolled out")


_COLUMNS: Final = (
    "version",
    "state",
    "workers",
    "weight",
    "new threads",
    "share seen",
    "runs",
    "failed",
    "ceilings",
    "p95",
)


def status_text(found: RolloutStatus) -> str:
    """One line about the rollout, a table of its versions, and one line about the last ramp."""
    who = f"{found.rollout.graph_id}: changed by {found.rollout.by} at {found.rollout.changed_at}"
    why = f" ({found.rollout.reason})" if found.rollout.reason else ""
    look = ""
    if found.next_look_runs is not None and found.rollout.ramp is not None:
        look = (
            f"\ncomparisons of the versions: {found.looks}; the next one when {found.next_look_runs} runs of version "
            f"{found.rollout.ramp.version} have ended"
        )
    last = "" if found.last is None else f"\n{printable(str(found.last))}"
    return f"{printable(who + why)}\n{text_table([_COLUMNS, *map(_row, found.versions)])}{look}{last}"


def _row(version: VersionStatus) -> tuple[str, ...]:
    counts = version.counts
    return (
        version.version,
        version.state.value,
        str(version.workers),
        f"{version.weight_percent:g} %",
        str(counts.threads),
        _share(version.threads_percent),
        str(counts.runs),
        f"{counts.failed} ({_share(counts.errors_percent)})",
        f"{counts.ceilings} ({_share(counts.ceilings_percent)})",
        "-" if counts.p95_ms is None else f"{counts.p95_ms:,.0f} ms",
    )


def _share(percent: float | None) -> str:
    return "-" if percent is None else f"{percent:.2f} %"


def _weights(assignments: Sequence[str]) -> dict[str, int]:
    """Raises `InvalidRequest`."""
    from slipway.rollouts.weights import weight_of

    weights = {}
    for text in assignments:
        version, _, percent = text.partition("=")
        try:
            number = float(percent.removesuffix("%"))
        except ValueError:
            number = None
        if not version or number is None or not percent.endswith("%"):
            raise InvalidRequest("VERSION=PERCENT%", f"{text!r} is not a weight such as 2=10%")
        if version in weights:
            raise InvalidRequest("VERSION=PERCENT%", f"version {version!r} has two weights")
        weights[version] = weight_of(text, number)
    return weights


def _rules(headers: Sequence[str], metadata: Sequence[str]) -> list[RequestRule]:
    from slipway.rollouts.weights import header_rule, metadata_rule

    return [
        *(header_rule(*_pair("--header", text)) for text in headers),
        *(metadata_rule(*_pair("--metadata", text)) for text in metadata),
    ]


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidRequest(option, f"{text!r} is not NAME=VALUE")
    return name, value


def _change(config: Config, change: Callable[[RolloutStore], Awaitable[Change]]) -> None:
    settings = operator_settings("rollout", config)

    async def changed(store: RolloutStore) -> Change:
        return await change(store)

    made = execute(lambda: _with_store(settings, changed, may_be_first=True))
    typer.echo(printable(made.entry.summary))
    if made.warning is not None:
        typer.echo(f"warning: {printable(made.warning)}", err=True)


async def _with_store(
    settings: Settings, operation: Callable[[RolloutStore], Awaitable[_Result]], *, may_be_first: bool = False
) -> _Result:
    from slipway.clock import Clock
    from slipway.graph_versions.needs_reads import NeedsReads
    from slipway.graph_versions.scripts import VersionScripts
    from slipway.graphs.langgraph_json import read
    from slipway.rollouts.scripts import RolloutScripts
    from slipway.rollouts.store import RolloutStore
    from slipway.run_operations.rollout_announcements import announcements_of
    from slipway.run_operations.rollout_versions import VersionFinder, VersionNeed
    from slipway.webhooks.urls import UrlPolicy

    project = read(settings.config)
    async with opened(settings, "rollout", may_be_first=may_be_first) as (pipeline, shards):
        store = RolloutStore(
            RolloutScripts(pipeline, shards),
            Clock(),
            VersionFinder(project.graphs, VersionScripts(pipeline, shards).read),
            VersionNeed(project.graphs, NeedsReads(pipeline, shards)),
            project.rollouts,
            announcements_of(project, UrlPolicy(project.webhooks.url)),
        )
        return await operation(store)
