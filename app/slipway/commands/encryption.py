"""`slipway encryption status` and `slipway encryption rotate`."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from slipway.commands.lists import text_table
from slipway.commands.operator_commands import NOT_POSSIBLE, Config, execute, opened, operator_settings
from slipway.encryption_at_rest.counts import BY_SCRIPTS, PLAIN, UNREADABLE, KeyCounts
from slipway.encryption_at_rest.process_keys import encryption_of
from slipway.environment_variables import variable_of
from slipway.errors import ConfigError
from slipway.progress import progress_on_stderr
from slipway.redis.document_keys import DocumentNames
from slipway.serialization.encryption import Encryption
from slipway.settings import Settings

encryption: Final = typer.Typer(no_args_is_help=True, help="Encryption at rest.")


@encryption.command()
def status(config: Config = None) -> None:
    """Counts the stored values by kind and by the name of their key. The exit code is 1 if one cannot be read."""
    settings = operator_settings("encryption", config)
    keys = _keys_of(settings)
    counts = execute(lambda: _count(settings, keys))
    _print(counts, keys)
    sys.exit(NOT_POSSIBLE if counts.totals.get(UNREADABLE) else 0)


@encryption.command()
def rotate(
    config: Config = None,
    per_second: Annotated[
        float, typer.Option("--per-second", min=1, help="At most so many values are read in a second.")
    ] = 5000,
) -> None:
    """Encrypts everything again that is plain or encrypted with another key than the first one of
    SLIPWAY_ENCRYPTION_KEY, while the deployment works. If it is stopped, it continues where it was. The exit code is 1
    if values are left."""
    settings = operator_settings("encryption", config)
    keys = _keys_of(settings)
    counts, renewed = execute(lambda: _rotate(settings, keys, per_second))
    _print(counts, keys)
    left = counts.left
    if left:
        typer.echo(
            f"{renewed} values were encrypted with {keys.first_name}, and {left} are left: they cannot be read, or a "
            "process still writes them without this key as its first one. The other keys are still needed."
        )
        sys.exit(NOT_POSSIBLE)
    others = [name for name in keys.names if name != keys.first_name]
    rest = f" {' and '.join(others)} can be removed from {variable_of('encryption_key')}." if others else ""
    typer.echo(f"{renewed} values were encrypted with {keys.first_name}. None is left.{rest}")


async def _count(settings: Settings, keys: Encryption) -> KeyCounts:
    from slipway.encryption_at_rest.rotation import count_values

    async with opened(settings, "encryption", seals=False) as (pipeline, shards):
        documents = DocumentNames(settings.langgraph_redis_prefix)
        with progress_on_stderr() as show:
            return await count_values(pipeline, shards, documents, keys, show)


async def _rotate(settings: Settings, keys: Encryption, per_second: float) -> tuple[KeyCounts, int]:
    from slipway.encryption_at_rest.rotation import Rotation

    async with opened(settings, "encryption") as (pipeline, shards):
        documents = DocumentNames(settings.langgraph_redis_prefix)
        rotation = Rotation(pipeline, shards, documents, keys, values_per_s=per_second)
        with progress_on_stderr() as show:
            counts = await rotation.run(show)
    return counts, rotation.renewed


def _keys_of(settings: Settings) -> Encryption:
    keys = encryption_of(settings)
    if keys is None:
        raise ConfigError(f"{variable_of('encryption_key')} is not set, so nothing is encrypted")
    return keys


def _print(counts: KeyCounts, keys: Encryption) -> None:
    columns = list(dict.fromkeys([*keys.names, *counts.names]))
    columns += [what for what in (PLAIN, BY_SCRIPTS, UNREADABLE) if counts.totals.get(what)]
    titles = [f"{name} (first)" if name == keys.first_name else name for name in columns]
    rows = [("kind", *titles)]
    rows += [(kind, *(str(each.get(column, 0)) for column in columns)) for kind, each in sorted(counts.by_kind.items())]
    rows.append(("all", *(str(counts.totals.get(column, 0)) for column in columns)))
    typer.echo(text_table(rows))
    for problem in counts.problems:
        typer.echo(f"unreadable: {problem}")
