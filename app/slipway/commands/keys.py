"""`slipway keys`: creates, lists, shows and revokes API keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import typer

from slipway.api_keys.record import ApiKey
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.api_keys.store import ApiKeyStore
from slipway.clock import Clock, iso, microseconds_of
from slipway.commands.lists import text_table
from slipway.commands.operator_commands import By, Config, execute, opened, operator, operator_settings
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

_Result = TypeVar("_Result")

keys: Final = typer.Typer(no_args_is_help=True, help="Creates, lists and revokes API keys.")

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The id of the key, from `slipway keys list`.")]
Json = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each key.")]

_COLUMNS: Final = (
    "key_id",
    "state",
    "name",
    "owner",
    "scopes",
    "ends_with",
    "created_at",
    "expires_at",
    "last_used_at",
)


@keys.command()
def create(
    scope: Annotated[
        list[str] | None,
        typer.Option(help="runs:read, runs:write, reviews:decide, operate or administer; may be repeated."),
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Restrict the key to the records of this owner.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Such as 12h or 90d; without it the key does not expire.")
    ] = None,
    name: Annotated[str, typer.Option(help="A text by which people recognise the key.")] = "",
    json: Json = False,
    by: By = None,
    config: Config = None,
) -> None:
    """Creates an API key and prints it. It is shown once: only its hash is stored."""
    settings = operator_settings("keys", config)
    scopes = [each.strip() for text in scope or () for each in text.split(",") if each.strip()]

    async def create_key(store: ApiKeyStore) -> tuple[ApiKey, str]:
        new = await store.create(scopes=scopes, owner=owner, expires=expires, name=name, by=operator(by, None).by)
        return new.key, new.text

    key, text = execute(lambda: _with_store(settings, create_key, may_be_first=True))
    if json:
        typer.echo(dumps(key.public(key.created_us) | {"key": text}).decode())
        return
    typer.echo(text)
    typer.echo(f"{_described(key)}. This is the only time that the key is shown.", err=True)


@keys.command("list")
def list_all(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="List at most so many keys.")] = 100,
    json: Json = False,
    config: Config = None,
) -> None:
    """Lists the API keys, the newest first, also those that have ended."""
    settings = load_settings_and_logs("keys", config)
    page = execute(lambda: _with_store(settings, lambda store: store.page(limit)))
    if json:
        typer.echo("\n".join(dumps(key.public(page.now_us)).decode() for key in page.keys))
        return
    typer.echo(text_table([_COLUMNS, *(_row(key, page.now_us) for key in page.keys)]) if page.keys else "no keys")
    if page.next is not None:
        typer.echo(f"there are more: --limit {min(10 * limit, 1000)} lists more of them", err=True)


@keys.command()
def show(key_id: KeyId, json: Json = False, config: Config = None) -> None:
    """Shows an API key without its text."""
    settings = load_settings_and_logs("keys", config)
    key = execute(lambda: _with_store(settings, lambda store: store.get(key_id)))
    shown = key.public(microseconds_of(Clock().now()))
    if json:
        typer.echo(dumps(shown).decode())
        return
    rows = [(name, _text(value)) for name, value in shown.items()]
    typer.echo(text_table(rows))


@keys.command()
def revoke(key_id: KeyId, by: By = None, config: Config = None) -> None:
    """Revokes an API key at once, in all processes. Its open streams end."""
    settings = operator_settings("keys", config)
    key, changed = execute(lambda: _with_store(settings, lambda store: store.revoke(key_id, operator(by, None).by)))
    when = "" if key.revoked_us is None else f" at {iso(key.revoked_us)} by {key.revoked_by}"
    typer.echo(f"key {key.key_id} is revoked" if changed else f"key {key.key_id} was revoked{when} (nothing to change)")


async def _with_store(
    settings: Settings, operation: Callable[[ApiKeyStore], Awaitable[_Result]], *, may_be_first: bool = False
) -> _Result:
    async with opened(settings, "keys", may_be_first=may_be_first) as (pipeline, shards):
        return await operation(ApiKeyStore(ApiKeyScripts(pipeline, shards.access)))


def _described(key: ApiKey) -> str:
    owner = "for the records of all owners" if key.owner is None else f"for the records of {key.owner!r}"
    expires = "does not expire" if key.expires_us is None else f"expires at {iso(key.expires_us)}"
    return f"key {key.key_id}, {', '.join(key.scopes)}, {owner}, {expires}"


def _row(key: ApiKey, now_us: int) -> tuple[str, ...]:
    shown = key.public(now_us) | {"ends_with": f"…{key.last_characters}"}
    return tuple(_text(shown[name]) for name in _COLUMNS)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
