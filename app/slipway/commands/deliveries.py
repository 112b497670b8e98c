"""`slipway deliveries`: lists deliveries of webhooks, shows one with its tries, and sends some again."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import orjson
import typer

from slipway.commands.lists import check_choices, text_table, time_option_us
from slipway.commands.operator_commands import Config, execute, opened, operator_settings
from slipway.errors import ConfigError
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings
from slipway.webhooks.delivery_search import DeliveryQuery
from slipway.webhooks.delivery_summary import DeliveryState, DeliverySummary

if TYPE_CHECKING:
    from slipway.webhooks.delivery_search import DeliverySearch
    from slipway.webhooks.delivery_store import DeliveryStore

_Result = TypeVar("_Result")

deliveries: Final = typer.Typer(no_args_is_help=True, help="Lists deliveries of webhooks, and sends them again.")

DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="The id of the delivery: its webhook-id.")]
States = Annotated[list[str] | None, typer.Option("--state", help="pending, delivered or dead; repeatable.")]
EndpointId = Annotated[str | None, typer.Option("--endpoint", help="To this endpoint.")]
EventType = Annotated[str | None, typer.Option("--type", help="Of events of this type, such as run.failed.")]
AboutRun = Annotated[str | None, typer.Option("--run", help="About this run.")]
Owner = Annotated[str | None, typer.Option(help="That this owner may see.")]
After = Annotated[str | None, typer.Option("--created-after", help="Created at this time or later, in ISO 8601.")]
Before = Annotated[str | None, typer.Option("--created-before", help="Created before this time, in ISO 8601.")]

_COLUMNS: Final = ("created_at", "delivery_id", "type", "state", "tries", "next_try_at", "problem")
_PAGE: Final = 500


@deliveries.command(name="list")
def list_all(
    config: Config = None,
    state: States = None,
    endpoint: EndpointId = None,
    event_type: EventType = None,
    run: AboutRun = None,
    owner: Owner = None,
    created_after: After = None,
    created_before: Before = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="List at most so many deliveries.")] = 50,
    oldest: Annotated[bool, typer.Option("--oldest", help="List the oldest first.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each delivery.")] = False,
) -> None:
    """Lists deliveries, the newest first."""
    settings = load_settings_and_logs("deliveries", config)
    query = _query(state, endpoint, event_type, run, owner, created_after, created_before)

    async def search(store: DeliveryStore, searching: DeliverySearch) -> list[DeliverySummary]:
        checked = await store.checked(query)
        found: list[DeliverySummary] = []
        cursor: str | None = None
        while len(found) < limit:
            missing = min(limit - len(found), _PAGE)
            page = await searching.page(checked, limit=missing, cursor=cursor, oldest_first=oldest)
            found, cursor = found + page.deliveries, page.next
            if cursor is None:
                break
        return found

    found = execute(lambda: _with_store(settings, search))
    if json:
        typer.echo("\n".join(dumps(each.public()).decode() for each in found))
        return
    rows = [tuple(str(each.public()[name] or "") for name in _COLUMNS) for each in found]
    typer.echo(text_table([_COLUMNS, *rows]) if rows else "no delivery was found")


@deliveries.command()
def show(delivery: DeliveryId, config: Config = None) -> None:
    """Prints a delivery with its body and its tries as JSON."""
    settings = load_settings_and_logs("deliveries", config)
    details = execute(lambda: _with_store(settings, lambda store, _: store.get(delivery)))
    typer.echo(orjson.dumps(details.public(for_operators=True), option=orjson.OPT_INDENT_2).decode())


@deliveries.command()
def replay(
    delivery: Annotated[
        str | None, typer.Argument(metavar="[DELIVERY]", help="One delivery; else those that match the options.")
    ] = None,
    config: Config = None,
    state: Annotated[str | None, typer.Option(help="pending, delivered or dead (the default).")] = None,
    endpoint: EndpointId = None,
    event_type: EventType = None,
    run: AboutRun = None,
    owner: Owner = None,
    created_after: After = None,
    created_before: Before = None,
    every: Annotated[bool, typer.Option("--all", help="Needed if no other option says which deliveries.")] = False,
) -> None:
    """Sends deliveries again now, with the same ids and bodies. Their tries begin from the first."""
    conditions = (state, endpoint, event_type, run, owner, created_after, created_before)
    if delivery is not None and (every or any(each is not None for each in conditions)):
        raise ConfigError("DELIVERY: name one delivery, or options that say which ones, but not both")
    if delivery is None and not every and all(each is None for each in conditions):
        raise ConfigError(
            "name a delivery, options such as --endpoint and --created-after, or --all for all dead letters"
        )
    settings = operator_settings("deliveries", config)
    if delivery is not None:
        summary = execute(lambda: _with_store(settings, lambda store, _: store.replay(delivery)))
        typer.echo(f"{summary.delivery_id} is sent again")
        return
    states = [state or DeliveryState.DEAD.value]
    query = _query(states, endpoint, event_type, run, owner, created_after, created_before)

    async def replay_all(store: DeliveryStore, _: DeliverySearch) -> tuple[int, int]:
        checked = await store.checked(query)
        replayed, calling, cursor = 0, 0, None
        while True:
            page = await store.replay_matching(checked, limit=_PAGE, cursor=cursor)
            replayed, calling, cursor = replayed + page.replayed, calling + page.calling, page.next
            if cursor is None:
                return replayed, calling
            sys.stderr.write(f"slipway: {replayed} deliveries are sent again so far\n")

    replayed, calling = execute(lambda: _with_store(settings, replay_all))
    skipped = f"; {calling} are not, because a try of them is in progress" if calling else ""
    typer.echo(f"{replayed} deliveries are sent again{skipped}")


def _query(
    states: list[str] | None,
    endpoint: str | None,
    event_type: str | None,
    run: str | None,
    owner: str | None,
    created_after: str | None,
    created_before: str | None,
) -> DeliveryQuery:
    """Raises `ConfigError` for a state or a time that is none."""
    check_choices("--state", states or [], [each.value for each in DeliveryState])
    return DeliveryQuery(
        states=frozenset(map(DeliveryState, states or ())),
        endpoint_id=endpoint,
        type=event_type,
        run_id=run,
        owner=owner,
        created_from_us=time_option_us("--created-after", created_after),
        created_before_us=time_option_us("--created-before", created_before),
    )


async def _with_store(
    settings: Settings, operation: Callable[[DeliveryStore, DeliverySearch], Awaitable[_Result]]
) -> _Result:
    from slipway.webhooks.delivery_search import DeliverySearch
    from slipway.webhooks.delivery_store import DeliveryStore
    from slipway.webhooks.limits import limits_of

    async with opened(settings, "deliveries") as (pipeline, shards):
        search = DeliverySearch(pipeline, shards, max_checks=settings.search_max_checks)
        return await operation(DeliveryStore(pipeline, shards, limits_of(settings), search), search)
