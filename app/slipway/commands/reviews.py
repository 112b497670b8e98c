"""`slipway reviews`: lists the reviews of all runs, and operates one.

A decision is stored at once. If it is the last answer that a run needed, a worker resumes the run a moment later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import orjson
import typer

from slipway.commands.lists import check_choices, text_table, time_option_us
from slipway.commands.operator_commands import By, Config, execute, opened, operator
from slipway.errors import ConfigError
from slipway.processes.settings_and_logs import load_settings_and_logs
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.serialization.json_encoding import dumps
from slipway.settings import Settings

if TYPE_CHECKING:
    from slipway.reviews.actor import Actor
    from slipway.reviews.record import Review, ReviewState
    from slipway.reviews.store import ReviewStore

_Result = TypeVar("_Result")

reviews: Final = typer.Typer(invoke_without_command=True, help="Lists reviews, or operates one.")

ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="The id of the review.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group that you belong to; may be repeated.")]
Text = Annotated[str, typer.Argument(metavar="TEXT")]

_COLUMNS: Final = ("created_at", "review_id", "graph_id", "state", "assignee", "due_at", "asks")
_MOST_CHARACTERS: Final = 60


@reviews.callback()
def list_all(
    context: typer.Context,
    config: Config = None,
    state: Annotated[list[str] | None, typer.Option(help="In this state; may be repeated.")] = None,
    graph: Annotated[str | None, typer.Option(help="Of this graph.")] = None,
    assignee: Annotated[str | None, typer.Option(help="Claimed by this person.")] = None,
    for_group: Annotated[str | None, typer.Option(help="For the members of this group.")] = None,
    due_before: Annotated[str | None, typer.Option(help="Due before this time, in ISO 8601.")] = None,
    created_before: Annotated[str | None, typer.Option(help="Asked before this time, in ISO 8601.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="List at most so many reviews.")] = 50,
    newest: Annotated[bool, typer.Option("--newest", help="List the newest reviews first.")] = False,
    due: Annotated[
        bool, typer.Option("--due", help="List the open and claimed reviews, those that are due first.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each review.")] = False,
) -> None:
    """Lists reviews, the oldest first, or operates one."""
    if context.invoked_subcommand is not None:
        return
    if newest and due:
        raise typer.BadParameter("is not possible beside --due", param_hint="--newest")
    settings = load_settings_and_logs("reviews", config)
    from slipway.reviews.search import ReviewOrder, ReviewQuery, ReviewSearch

    order = ReviewOrder.NEWEST if newest else ReviewOrder.DUE if due else ReviewOrder.OLDEST
    query = ReviewQuery(
        states=_states_of(state or ()),
        graph_id=graph,
        assignee=assignee,
        group=for_group,
        due_before_us=time_option_us("--due-before", due_before),
        created_before_us=time_option_us("--created-before", created_before),
    )

    async def search() -> list[Review]:
        async with opened(settings, "reviews") as (pipeline, shards):
            found: list[Review] = []
            cursor: str | None = None
            while len(found) < limit:
                searching = ReviewSearch(pipeline, shards, max_checks=settings.search_max_checks)
                missing = limit - len(found)
                page = await searching.page(query, limit=missing, cursor=cursor, order=order)
                found, cursor = found + page.reviews, page.next
                if cursor is None:
                    break
            return found

    found = execute(search)
    typer.echo("\n".join(_json_of(review) for review in found) if json else _table(found))


@reviews.command()
def show(review: ReviewId, config: Config = None) -> None:
    """Prints a review and its history as JSON."""

    async def read(store: ReviewStore) -> dict[str, Any]:
        found = await store.get(review)
        return found.public() | {"history": [entry.public() for entry in await store.history(found)]}

    typer.echo(orjson.dumps(_operate(config, read), option=orjson.OPT_INDENT_2).decode())


@reviews.command()
def claim(review: ReviewId, by: By = None, group: Groups = None, config: Config = None) -> None:
    """Makes you the assignee."""
    _print(_operate(config, lambda store: store.claim(review, _actor(by, group))))


@reviews.command()
def release(review: ReviewId, by: By = None, group: Groups = None, config: Config = None) -> None:
    """Makes nobody the assignee."""
    _print(_operate(config, lambda store: store.release(review, _actor(by, group))))


@reviews.command()
def reassign(
    review: ReviewId,
    assignee: Annotated[str, typer.Argument(metavar="NAME", help="The identity of the new assignee.")],
    by: By = None,
    group: Groups = None,
    config: Config = None,
) -> None:
    """Makes another person the assignee."""
    _print(_operate(config, lambda store: store.reassign(review, _actor(by, group), assignee)))


@reviews.command()
def comment(review: ReviewId, text: Text, by: By = None, config: Config = None) -> None:
    """Adds a comment for the other reviewers."""
    _print(_operate(config, lambda store: store.comment(review, _actor(by, None), text)))


@reviews.command(name="request-information")
def request_information(
    review: ReviewId,
    text: Text,
    follow_up_s: Annotated[
        float | None, typer.Option(min=1, help="Seconds after which the review needs attention again.")
    ] = None,
    by: By = None,
    config: Config = None,
) -> None:
    """Asks for more information."""
    _print(_operate(config, lambda store: store.request_information(review, _actor(by, None), text, follow_up_s)))


@reviews.command()
def remind(review: ReviewId, by: By = None, config: Config = None) -> None:
    """Reminds those who may decide."""
    _print(_operate(config, lambda store: store.remind(review, _actor(by, None))))


@reviews.command()
def decide(
    review: ReviewId,
    decision: Annotated[
        str,
        typer.Argument(metavar="DECISION", help="approve, reject, ignore, or JSON as for POST /ops/reviews/ID/decide."),
    ],
    message: Annotated[str | None, typer.Option(help="Why, for `reject` and `respond`; the graph receives it.")] = None,
    by: By = None,
    group: Groups = None,
    config: Config = None,
) -> None:
    """Decides a review, or votes if several people must agree."""
    body = _decision(decision) | ({} if message is None else {"message": message})
    _print(_operate(config, lambda store: store.decide(review, _actor(by, group), body)))


def _decision(text: str) -> dict[str, Any]:
    """The body of a decision, from JSON or the name of its kind."""
    if not text.lstrip().startswith("{"):
        return {"kind": text}
    try:
        body: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"DECISION: not JSON: {error}") from None
    return body


def _actor(by: str | None, groups: list[str] | None) -> Actor:
    """Whoever can use the command has all data of the deployment, and is trusted to name the groups."""
    from slipway.reviews.actor import Actor

    return Actor(operator(by, None).by, groups or ())


def _operate(config: Config, operation: Callable[[ReviewStore], Awaitable[_Result]]) -> _Result:
    settings = load_settings_and_logs("reviews", config)

    async def operated() -> _Result:
        async with opened(settings, "reviews") as (pipeline, shards):
            return await operation(_store(settings, pipeline, shards))

    return execute(operated)


def _store(settings: Settings, pipeline: Pipeline, shards: Shards) -> ReviewStore:
    from slipway.reviews.resuming import ResumedByDuty
    from slipway.reviews.store import ReviewStore
    from slipway.runs.audit import AuditTrail
    from slipway.runs.scripts import RunScripts

    audit = AuditTrail(pipeline, shards.records, RunScripts(pipeline, shards))
    return ReviewStore(pipeline, shards, audit, ResumedByDuty())


def _print(review: Review) -> None:
    typer.echo(_table([review]))


def _json_of(review: Review) -> str:
    return dumps(review.public()).decode()


def _table(found: list[Review]) -> str:
    """One line for each review, with the most important members."""
    if not found:
        return "no review was found"
    return text_table([_COLUMNS, *(_row(review) for review in found)])


def _row(review: Review) -> tuple[str, ...]:
    members = review.public()
    return (*(str(members[name] or "") for name in _COLUMNS[:-1]), _asks(review))


def _asks(review: Review) -> str:
    """The beginning of the question."""
    question = review.question
    actions = ", ".join(f"{each.name}({dumps(each.args).decode()})" for each in question.actions)
    text = " ".join((actions or dumps(question.value).decode()).split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _states_of(names: list[str] | tuple[()]) -> frozenset[ReviewState]:
    from slipway.reviews.record import ReviewState

    check_choices("--state", names, [state.value for state in ReviewState])
    return frozenset(map(ReviewState, names))
