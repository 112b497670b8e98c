"""What the commands of operators share: who acts, how they connect, and how they end if the operation is not possible.

`--by NAME` names the operator in audit trails; the default is the user of the operating system, as `cli:NAME`.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from slipway import failpoints
from slipway.encryption_at_rest.process_keys import process_keys
from slipway.errors import AccessRefused, Conflict, InvalidRequest, NotFound, RefusedRequest, SlipwayError
from slipway.health import start_checks
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.run_operations.operations import Operator
from slipway.settings import Settings

_Result = TypeVar("_Result")

NOT_POSSIBLE: Final = 1
"""The exit code if the record does not exist, or if its state does not permit the operation."""

Config = Annotated[Path | None, typer.Option(help="Path of langgraph.json, which names the graphs.")]
By = Annotated[str | None, typer.Option("--by", help="Your name in audit trails; by default that of the OS user.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for audit trails and for those who wait.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of the run.")]


def operator(by: str | None, reason: str | None) -> Operator:
    """Who acts."""
    return Operator(by or f"cli:{_os_user()}", reason)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return "unknown"


def operator_settings(command: str, config: Path | None) -> Settings:
    """The settings of a command that changes something."""
    failpoints.arm()
    return load_settings_and_logs(command, config)


@asynccontextmanager
async def opened(
    settings: Settings, command: str, *, seals: bool = True, may_be_first: bool = False
) -> AsyncIterator[tuple[Pipeline, Shards]]:
    """A connection to Redis. `seals`: whether values are stored that are encrypted where there is a key.
    `may_be_first`: whether the first records of a deployment may be stored, and with them the number of shards. Raises
    `StoreUnavailable`, and `ConfigError` if the data have another layout version."""
    await start_checks.check(settings, settings.redis, upgrade=False, may_be_first=may_be_first)
    pipeline = pipeline_to(
        Address(settings.redis),
        f"slipway {command}",
        patience_s=settings.redis_patience_web_s,
        counts_metrics=settings.metrics,
    )
    shards = shards_of(settings)
    await pipeline.open()
    try:
        async with process_keys(settings, pipeline, shards.encryption, writes=seals):
            yield pipeline, shards
    finally:
        await pipeline.close()


def execute(operation: Callable[[], Awaitable[_Result]]) -> _Result:
    """The result of the operation. If it is not possible, prints the reason and exits."""

    async def awaited() -> _Result:
        return await operation()

    try:
        return asyncio.run(awaited())
    except (NotFound, Conflict, RefusedRequest, InvalidRequest, AccessRefused) as error:
        sys.stderr.write(f"slipway: {error}{_choices(error)}\n")
        sys.exit(NOT_POSSIBLE)


def _choices(error: SlipwayError) -> str:
    """The allowed values, which responses of the API have as a member. Empty if the message names them itself."""
    if not isinstance(error, InvalidRequest) or not error.known or "; choose one of: " in str(error):
        return ""
    return f"; choose one of: {', '.join(error.known)}"
