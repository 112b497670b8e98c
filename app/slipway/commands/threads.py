"""`slipway threads move`: moves threads of a graph to another of its versions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from slipway.commands.lists import check_choices, printable, text_table
from slipway.commands.operator_commands import NOT_POSSIBLE, By, Config, execute, operator, operator_settings
from slipway.errors import ConfigError, InvalidRequest
from slipway.health import start_checks
from slipway.progress import progress_on_stderr
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.graphs.interface import Graph
    from slipway.graphs.registry import Registry
    from slipway.services import Services
    from slipway.thread_moves.many import ManyMoves, MovedThread

_PAGE: Final = 200
_NO_LIMIT: Final = 1 << 40
_IDS_SHOWN: Final = 3
_STATUSES: Final = ("idle", "interrupted", "error", "busy")

threads: Final = typer.Typer(help="Moves threads between versions of their graph.")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which threads are to be moved, and where."""

    graph_id: str
    to_version: str
    from_version: str | None = None
    status: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    thread_ids: Sequence[str] | None = None


@threads.callback()
def group() -> None:
    """Moves threads between versions of their graph."""


@threads.command()
def move(
    graph: Annotated[str, typer.Option(help="The graph of the threads.")],
    to: Annotated[str, typer.Option("--to", help="The version that is to continue them. This checkout must have it.")],
    from_: Annotated[str | None, typer.Option("--from", help="Only threads that are pinned to this version.")] = None,
    status: Annotated[str | None, typer.Option(help="Only threads with this status.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="Only threads with this member, such as k=v.")] = None,
    thread: Annotated[list[str] | None, typer.Option(help="Only this thread; may be repeated.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the verdicts.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each thread.")] = False,
    by: By = None,
    config: Config = None,
) -> None:
    """Moves threads that no run executes: idle ones, waiting ones, and those with a paused or queued run, which moves
    with them. The exit code is 1 if one must stay."""
    if status is not None:
        check_choices("--status", [status], _STATUSES)
    settings = operator_settings("threads", config)
    selection = Selection(graph, to, from_, status, _members_of(metadata or ()), thread or None)
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[str]] = {}

    def add(each: MovedThread) -> None:
        if json:
            reasons = [{"code": reason.code, "text": reason.text} for reason in each.reasons]
            members = {"thread_id": each.thread_id, "from": each.old, "to": to, "outcome": each.outcome}
            typer.echo(orjson.dumps(members | {"reasons": reasons}))
        key = (each.outcome, each.sentence)
        counts[key] += 1
        shown = examples.setdefault(key, [])
        if len(shown) < _IDS_SHOWN:
            shown.append(each.thread_id)

    execute(lambda: move_all(settings, selection, operator(by, None).by, dry_run, add))
    if not json:
        typer.echo(_table(counts, examples))
    if any(outcome == "hold" for outcome, _ in counts):
        sys.exit(NOT_POSSIBLE)


def _members_of(texts: Sequence[str]) -> dict[str, Any]:
    """A value that is JSON counts as that, any other as text."""
    members: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise ConfigError(f"--metadata: {text!r} must be a member and its value, such as customer=42")
        try:
            members[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            members[name] = value
    return members


async def move_all(
    settings: Settings, selection: Selection, by: str, dry_run: bool, add: Callable[[MovedThread], None]
) -> None:
    """Moves the threads; `add` receives the outcome of each. Raises `NotFound` for a version that the project of the
    settings does not have, and `InvalidRequest` for one that no process has ever served."""
    from slipway.graphs.registry import Registry

    await start_checks.check(settings, settings.redis, upgrade=False)
    graphs = await Registry.load(settings.config, release=settings.release)
    await move_selected(settings, graphs, selection, by, dry_run, add)


async def move_selected(
    settings: Settings,
    graphs: Registry,
    selection: Selection,
    by: str,
    dry_run: bool,
    add: Callable[[MovedThread], None],
) -> None:
    """The same with the loaded graphs of the project."""
    from slipway.services import open_services

    async with open_services(settings, graphs, "cli") as services:
        await graphs.identify()
        moves = await _moves(services, selection, by, dry_run)
        with progress_on_stderr() as show:
            done = 0
            async for page, total in _pages(services, settings, selection):
                for each in await moves.move(page):
                    add(each)
                done += len(page)
                show("threads", done, max(total, done))


async def _moves(services: Services, selection: Selection, by: str, dry_run: bool) -> ManyMoves:
    """Raises `InvalidRequest` for a version that no process serves, because its threads would wait for ever."""
    from slipway.thread_moves.many import ManyMoves
    from slipway.thread_moves.reads import MoveReads

    target = services.graphs.version(selection.graph_id, selection.to_version)
    known = await services.versions.read()
    if not dry_run and known.find(target.graph_id, target.name) is None:
        names = [version.name for version in known.of_graph(target.graph_id)]
        problem = f"no process has ever served {target}: deploy it first; known: {', '.join(names) or 'none'}"
        raise InvalidRequest("--to", problem)

    async def open_graph(thread_id: str) -> AbstractAsyncContextManager[Graph]:
        config: Any = {}
        if services.graphs.has_factory(target.graph_id, target.name):
            config = await services.run_repairs.graphs.config(await services.threads.get(thread_id), None)
        return services.graphs.open(target.graph_id, config, "threads.update", version=target.name)

    reads = MoveReads(services.pipeline, services.shards.records)
    return ManyMoves(services.mover, reads, target, open_graph, by, selection.from_version, dry_run)


async def _pages(services: Services, settings: Settings, selection: Selection) -> AsyncIterator[tuple[list[str], int]]:
    """The ids of the selected threads in pages, each with how many there are."""
    from slipway.threads.search import ThreadQuery, ThreadSearch

    search = ThreadSearch(services.pipeline, services.shards, max_checks=_NO_LIMIT)
    query = ThreadQuery(
        ids=selection.thread_ids,
        metadata={**selection.metadata, "graph_id": selection.graph_id},
        status=selection.status,
    )
    total = (await search.count(query)).number
    offset = 0
    while True:
        found = await search.page(query, limit=_PAGE, offset=offset, sort_by="created_at", descending=False)
        ids = [thread.thread_id for thread in found.records]
        if not ids:
            return
        yield ids, total
        offset += len(ids)


def _table(counts: Counter[tuple[str, str]], examples: dict[tuple[str, str], list[str]]) -> str:
    if not counts:
        return "no thread matches"
    rows = [["outcome", "threads", "such as", "reasons"]]
    for (outcome, reasons), count in sorted(counts.items()):
        rows.append([outcome, str(count), " ".join(examples[outcome, reasons]), printable(reasons)])
    return text_table(rows)
