"""The commands of webhook endpoints: `slipway webhooks add`, `list`, `show`, `update`, `rotate`, `enable`, `disable`,
`test` and `remove`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from slipway.commands.lists import printable, text_table
from slipway.commands.operator_commands import By, Config, Reason, execute, opened, operator, operator_settings
from slipway.errors import ConfigError, InvalidRequest
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings
from slipway.webhook_endpoints.record import Endpoint, Format
from slipway.webhook_endpoints.signing_keys import KeyKind

if TYPE_CHECKING:
    from slipway.webhook_endpoints.store import EndpointChange, EndpointStore, WithSecret

_Result = TypeVar("_Result")

webhooks: Final = typer.Typer(no_args_is_help=True, help="Sends events to webhook endpoints.")

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The id of the endpoint.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="A type of events, such as run.failed, run.* or *; repeatable.")
]
GraphNames = Annotated[
    list[str] | None, typer.Option("--graph", help="Only events of this graph; repeatable. Empty: of all graphs.")
]
Owner = Annotated[str | None, typer.Option(help="Only events of this owner.")]
AllOwners = Annotated[bool, typer.Option("--all-owners", help="Events of all owners: removes the owner.")]
BodyFormat = Annotated[Format | None, typer.Option("--format", help="thin: ids and a link; full: the record too.")]
Description = Annotated[str | None, typer.Option(help="What it is for.")]
Concurrency = Annotated[int | None, typer.Option(help="How many calls are made at once, over all processes.")]
Kind = Annotated[
    KeyKind | None, typer.Option("--key-kind", help="v1a: ed25519 (the default of new endpoints); v1: HMAC.")
]
SecretEnv = Annotated[
    str | None,
    typer.Option("--secret-env", metavar="NAME", help="The environment variable with a secret of v1, whsec_…."),
]
Overlap = Annotated[float | None, typer.Option("--overlap-h", help="For so many hours the key before signs too (24).")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]

_OPTIONS: Final = {
    "types": "--type",
    "graphs": "--graph",
    "owner": "--owner",
    "description": "--description",
    "concurrency": "--concurrency",
    "key_kind": "--key-kind",
    "secret": "--secret-env",
    "overlap_s": "--overlap-h",
}
"""The option of a member: what an error names."""


@webhooks.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the events are sent.")],
    types: Types = None,
    graphs: GraphNames = None,
    owner: Owner = None,
    body_format: BodyFormat = None,
    description: Description = None,
    concurrency: Concurrency = None,
    key_kind: Kind = None,
    secret_env: SecretEnv = None,
    as_json: AsJson = False,
    by: By = None,
    config: Config = None,
) -> None:
    """Adds an endpoint, and prints what its receiver verifies signatures with."""
    change = _change(url, types, graphs, owner, body_format, description, concurrency)

    def added(store: EndpointStore) -> Awaitable[WithSecret]:
        return store.add(change(), by=operator(by, None).by, kind=key_kind, secret=_secret_of(secret_env))

    _print_made(execute(lambda: _with_store(operator_settings("webhooks", config), added, may_be_first=True)), as_json)


@webhooks.command("list")
def list_all(as_json: AsJson = False, config: Config = None) -> None:
    """Lists the endpoints, the oldest first."""
    settings = load_settings_and_logs("webhooks", config)
    found = execute(lambda: _with_store(settings, lambda store: store.all()))
    if as_json:
        typer.echo("\n".join(dumps(each.public(_now_us())).decode() for each in found))
    elif found:
        typer.echo(text_table([("endpoint", "state", "types", "graphs", "owner", "url"), *map(_row, found)]))
    else:
        typer.echo("there is no webhook endpoint")


@webhooks.command()
def show(endpoint_id: EndpointId, as_json: AsJson = False, config: Config = None) -> None:
    """Shows an endpoint with its keys, without secrets."""
    settings = load_settings_and_logs("webhooks", config)
    _print(execute(lambda: _with_store(settings, lambda store: store.get(endpoint_id))), as_json)


@webhooks.command()
def update(
    endpoint_id: EndpointId,
    url: Annotated[str | None, typer.Option(help="Where the events are sent.")] = None,
    types: Types = None,
    graphs: GraphNames = None,
    owner: Owner = None,
    all_owners: AllOwners = False,
    body_format: BodyFormat = None,
    description: Description = None,
    concurrency: Concurrency = None,
    as_json: AsJson = False,
    by: By = None,
    config: Config = None,
) -> None:
    """Changes what is named; an empty --graph or --description removes it, and --all-owners the owner."""
    if owner is not None and all_owners:
        raise ConfigError("--all-owners: is not possible beside --owner")
    options = (url, types or None, graphs or None, owner, body_format, description, concurrency)
    if not all_owners and all(option is None for option in options):
        raise ConfigError("nothing to change is named: name at least one option, such as --type (see --help)")
    change = _change(url, types, graphs, owner, body_format, description, concurrency, all_owners=all_owners)

    def updated(store: EndpointStore) -> Awaitable[Endpoint]:
        return store.update(endpoint_id, change(), by=operator(by, None).by)

    _print(execute(lambda: _with_store(operator_settings("webhooks", config), updated)), as_json)


@webhooks.command()
def rotate(
    endpoint_id: EndpointId,
    key_kind: Kind = None,
    secret_env: SecretEnv = None,
    overlap_h: Overlap = None,
    as_json: AsJson = False,
    by: By = None,
    config: Config = None,
) -> None:
    """Makes a new key. The one before signs too until the overlap ends."""

    def rotated(store: EndpointStore) -> Awaitable[WithSecret]:
        who, secret = operator(by, None).by, _secret_of(secret_env)
        overlap = {} if overlap_h is None else {"overlap_s": overlap_h * 3600}
        return store.rotate(endpoint_id, by=who, kind=key_kind, secret=secret, **overlap)

    _print_made(execute(lambda: _with_store(operator_settings("webhooks", config), rotated)), as_json)


@webhooks.command()
def enable(endpoint_id: EndpointId, by: By = None, config: Config = None) -> None:
    """Events are sent from now on. What happened while it was disabled is not sent."""
    who = operator(by, None).by
    settings = operator_settings("webhooks", config)
    _print(execute(lambda: _with_store(settings, lambda store: store.enable(endpoint_id, by=who))), False)


@webhooks.command()
def disable(endpoint_id: EndpointId, reason: Reason = None, by: By = None, config: Config = None) -> None:
    """No events are sent any more, not even those that wait."""
    who = operator(by, reason).by
    settings = operator_settings("webhooks", config)
    _print(
        execute(lambda: _with_store(settings, lambda store: store.disable(endpoint_id, by=who, reason=reason))), False
    )


@webhooks.command("test")
def send_test(endpoint_id: EndpointId, by: By = None, config: Config = None) -> None:
    """Sends a test event (endpoint.test), and prints the id of its delivery."""
    who = operator(by, None).by
    settings = operator_settings("webhooks", config)
    typer.echo(execute(lambda: _with_store(settings, lambda store: store.test(endpoint_id, by=who))))


@webhooks.command()
def remove(endpoint_id: EndpointId, by: By = None, config: Config = None) -> None:
    """Removes an endpoint. What waits for it is not sent any more."""
    who = operator(by, None).by
    settings = operator_settings("webhooks", config)
    execute(lambda: _with_store(settings, lambda store: store.remove(endpoint_id, by=who)))
    typer.echo(f"webhook endpoint {printable(endpoint_id)} is removed")


def _change(
    url: str | None,
    types: list[str] | None,
    graphs: list[str] | None,
    owner: str | None,
    body_format: Format | None,
    description: str | None,
    concurrency: int | None,
    *,
    all_owners: bool = False,
) -> Callable[[], EndpointChange]:
    """What the options name. Typer gives an empty list for an option that is not there."""

    def change() -> EndpointChange:
        from slipway.webhook_endpoints.store import EndpointChange

        return EndpointChange(
            url=url,
            types=types or None,
            graphs=[graph for graph in graphs if graph] if graphs else None,
            owner=owner,
            all_owners=all_owners,
            format=body_format,
            description=description,
            concurrency=concurrency,
        )

    return change


def _secret_of(variable: str | None) -> str | None:
    """The value of the variable: a secret on a command line would be in the list of processes."""
    if variable is None:
        return None
    secret = os.environ.get(variable)
    if secret is None:
        raise InvalidRequest("--secret-env", f"the environment variable {variable} is not set")
    return secret


def _now_us() -> int:
    from slipway.clock import Clock, microseconds_of

    return microseconds_of(Clock().now())


def _row(endpoint: Endpoint) -> tuple[str, ...]:
    return (
        endpoint.endpoint_id,
        endpoint.state.value,
        " ".join(endpoint.types),
        " ".join(endpoint.graphs) or "all",
        endpoint.for_owner or "all",
        endpoint.url,
    )


def _print(endpoint: Endpoint, as_json: bool) -> None:
    members = endpoint.public(_now_us())
    if as_json:
        typer.echo(dumps(members).decode())
        return
    keys = members.pop("keys")
    for name, value in members.items():
        shown = " ".join(value) if isinstance(value, list) else value
        if shown not in (None, "", 0):
            typer.echo(f"{name}: {printable(str(shown))}")
    for key in keys:
        until = f", until {key['until']}" if key["until"] else ""
        typer.echo(f"key: {key['kind']} {key['public_key'] or '(secret)'} of {key['created_at']}{until}")


def _print_made(made: WithSecret, as_json: bool) -> None:
    if as_json:
        typer.echo(dumps(made.endpoint.public(_now_us()) | {"secret": made.secret}).decode())
        return
    _print(made.endpoint, False)
    if made.secret is not None:
        typer.echo(f"secret: {made.secret}")
        typer.echo("store the secret now: it is not shown again", err=True)


async def _with_store(
    settings: Settings, operation: Callable[[EndpointStore], Awaitable[_Result]], *, may_be_first: bool = False
) -> _Result:
    from slipway.graphs.langgraph_json import read
    from slipway.redis.redis_clock import RedisClock
    from slipway.webhook_endpoints.scripts import EndpointScripts
    from slipway.webhook_endpoints.store import EndpointStore
    from slipway.webhook_endpoints.url_check import EndpointUrlCheck
    from slipway.webhooks.new_run_webhook_check import NewRunWebhookCheck
    from slipway.webhooks.urls import UrlPolicy

    project = read(settings.config)
    check = NewRunWebhookCheck(UrlPolicy(project.webhooks.url), disabled=project.http.disable_webhooks)
    async with opened(settings, "webhooks", may_be_first=may_be_first) as (pipeline, shards):
        clock = RedisClock()
        await clock.measure(pipeline)  # the key that a rotation replaces is valid until a time on this clock
        store = EndpointStore(EndpointScripts(pipeline, shards), clock, EndpointUrlCheck(check), list(project.graphs))
        try:
            return await operation(store)
        except InvalidRequest as error:
            option = _OPTIONS.get(error.field, error.field)
            raise InvalidRequest(option, str(error).removeprefix(f"{error.field}: "), error.known) from None
