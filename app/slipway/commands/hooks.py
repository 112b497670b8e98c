"""`slipway hooks`: the incoming webhooks of langgraph.json, what they have received, and trying a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from slipway.commands.lists import check_choices, printable, text_table
from slipway.commands.operator_commands import By, Config, execute, opened, operator, operator_settings
from slipway.errors import ConfigError, NotFound
from slipway.health import start_checks
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.graphs.hooks_section import HookConfig
    from slipway.hooks.plan import Plan
    from slipway.hooks.reads import HookReads
    from slipway.hooks.record import HookDelivery

_Result = TypeVar("_Result")

hooks: Final = typer.Typer(no_args_is_help=True, help="Incoming webhooks.")

HookName = Annotated[str, typer.Argument(metavar="HOOK", help="The name of the hook in langgraph.json.")]
Delivery = Annotated[str, typer.Argument(metavar="DELIVERY", help="The id of the delivery, as the list shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON, one object a line.")]

_COLUMNS: Final = ("hook", "scheme", "does", "accepted", "ignored", "rejected", "repeated", "refused", "last received")
_DELIVERY_COLUMNS: Final = ("received_at", "delivery", "state", "status", "event", "delivery_id", "result")
_MOST_CHARACTERS: Final = 60
_NO_RESPONSE: Final = 0
"""The status of errors, which are printed."""


@hooks.command("list")
def list_all(as_json: AsJson = False, config: Config = None) -> None:
    """Lists the hooks with counts of what they have received."""
    settings = load_settings_and_logs("hooks", config)
    from slipway.hooks.status import hook_status

    configs = _configs(settings)

    async def read(reads: HookReads) -> list[dict[str, Any]]:
        return [(await hook_status(reads, configs[name])).public() for name in sorted(configs)]

    found = execute(lambda: _with_reads(settings, read))
    if as_json:
        typer.echo("\n".join(dumps(each).decode() for each in found))
    else:
        rows = [_hook_row(each) for each in found]
        typer.echo(text_table([_COLUMNS, *rows]) if rows else "langgraph.json has no hooks (slipway.hooks)")


@hooks.command()
def deliveries(
    hook: HookName,
    state: Annotated[str | None, typer.Option(help="In this state: accepted, ignored, rejected or received.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="List at most so many.")] = 50,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Lists what a hook has received, the newest first."""
    settings = load_settings_and_logs("hooks", config)
    from slipway.hooks.record import DeliveryState

    check_choices("--state", [] if state is None else [state], [each.value for each in DeliveryState])
    _config(settings, hook)

    async def read(reads: HookReads) -> list[HookDelivery]:
        chosen = None if state is None else DeliveryState(state)
        return (await reads.page(hook, limit=limit, state=chosen)).deliveries

    found = execute(lambda: _with_reads(settings, read))
    if as_json:
        typer.echo("\n".join(dumps(each.public()).decode() for each in found))
    else:
        rows = [_row(each) for each in found]
        typer.echo(text_table([_DELIVERY_COLUMNS, *rows]) if rows else f"hook {hook!r} has received nothing")


@hooks.command()
def show(hook: HookName, delivery: Delivery, config: Config = None) -> None:
    """Prints a delivery with its headers and its body as JSON."""
    settings = load_settings_and_logs("hooks", config)
    _config(settings, hook)
    found = execute(lambda: _with_reads(settings, lambda reads: reads.delivery(hook, delivery)))
    typer.echo(dumps(found.public_with_body()).decode())


@hooks.command()
def replay(hook: HookName, delivery: Delivery, by: By = None, config: Config = None) -> None:
    """Handles a stored delivery again, by the mapping of now. Prints the answer."""
    settings = operator_settings("hooks", config)
    _config(settings, hook)
    typer.echo(execute(lambda: _replayed(settings, hook, delivery, operator(by, None).by)))


@hooks.command()
def check(
    hook: HookName,
    payload: Annotated[Path, typer.Argument(metavar="FILE", help="A file with the body of a delivery.", exists=True)],
    header: Annotated[list[str] | None, typer.Option("--header", help="NAME=VALUE; may be repeated.")] = None,
    config: Config = None,
) -> None:
    """Tries the mapping of a hook with a payload, and prints what it would do. Needs no Redis and no secret, creates
    nothing, and does not verify a signature; a non-zero exit code means that the delivery would get an error."""
    settings = load_settings_and_logs("hooks", config)
    from slipway.hooks.plan import Incoming, planned

    found, body, headers = _config(settings, hook), payload.read_bytes(), _headers(header or [])
    kept = {name: headers[name] for name in found.kept_headers if name in headers}
    plan = planned(found, Incoming(kept, body, hashlib.sha256(body).hexdigest()))
    if plan.error is not None:
        typer.echo(f"slipway: {printable(str(plan.error))}", err=True)
        raise typer.Exit(1)
    typer.echo(dumps(_shown(found, plan)).decode())


def _shown(config: HookConfig, plan: Plan) -> dict[str, Any]:
    """What a delivery would do."""
    from slipway.hooks.plan import DecideReview, Ignore, ResumeRun, StartRun

    members: dict[str, Any] = {"hook": config.name, "event": plan.event, "delivery_id": plan.delivery_id}
    match plan.action:
        case Ignore(reason):
            return members | {"ignored": True, "reason": reason}
        case StartRun() as start:
            return members | {
                "creates_run_of": config.section.assistant,
                "input": start.input,
                "thread": start.thread.text,
                "thread_id": start.thread.thread_id,
                "if_not_exists": "create" if start.create_thread else "reject",
                "metadata": dict(start.metadata),
                "multitask_strategy": start.multitask_strategy,
            }
        case ResumeRun() as resume:
            return members | {
                "resumes": resume.answer,
                "thread": resume.thread.text,
                "thread_id": resume.thread.thread_id,
                "run_id": resume.run_id,
                "metadata": dict(resume.metadata),
            }
        case DecideReview(review_id, decision):
            return members | {"decides": review_id, "decision": dict(decision)}
    raise AssertionError(plan)


def _headers(given: list[str]) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"--header: {text!r} is not NAME=VALUE")
        headers[name.strip().lower()] = value
    return headers


def _configs(settings: Settings) -> dict[str, HookConfig]:
    from slipway.graphs.langgraph_json import read

    return dict(read(settings.config).hooks)


def _config(settings: Settings, hook: str) -> HookConfig:
    """Exits if langgraph.json does not have the hook."""

    async def found() -> HookConfig:
        configs = _configs(settings)
        if hook not in configs:
            raise NotFound("hook", hook, configs)
        return configs[hook]

    return execute(found)


async def _with_reads(settings: Settings, operation: Callable[[HookReads], Awaitable[_Result]]) -> _Result:
    from slipway.hooks.reads import HookReads

    async with opened(settings, "hooks") as (pipeline, shards):
        return await operation(HookReads(pipeline, shards.hooks))


async def _replayed(settings: Settings, hook: str, delivery: str, by: str) -> str:
    from slipway.access.access_control import AccessControl
    from slipway.access.auth_file import load_auth
    from slipway.graphs.registry import Registry
    from slipway.hooks.handling import Replay
    from slipway.hooks.plan import Incoming
    from slipway.runs.record import new_id
    from slipway.services import open_services

    await start_checks.check(settings, settings.redis, upgrade=False)
    graphs = await Registry.load(settings.config, release=settings.release)
    async with open_services(settings, graphs, "cli") as services:
        access = AccessControl(load_auth(services.config.auth, graphs.load_object))
        handler = services.hook_handler(access, lambda error: _NO_RESPONSE)
        record = await handler.reads.delivery(hook, delivery)
        incoming = Incoming(record.headers, record.body, record.digest)
        replay = Replay(record.replay_of or delivery, by, new_id())
        return (await handler.handle(services.config.hooks[hook], incoming, replay)).content.decode()


def _hook_row(status: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(count) for count in status["counts"].values())
    return (status["hook"], status["scheme"], status["does"], *counts, status["last_received_at"] or "")


def _row(delivery: HookDelivery) -> tuple[str, ...]:
    public = delivery.public()
    answer = public["answer"] or {}
    result = answer.get("run_id") or answer.get("reason") or answer.get("detail") or ""
    status = "" if public["status"] is None else str(public["status"])
    return (
        public["received_at"],
        delivery.delivery,
        public["state"],
        status,
        delivery.event or "",
        delivery.delivery_id[:_MOST_CHARACTERS],
        str(result)[:_MOST_CHARACTERS],
    )
