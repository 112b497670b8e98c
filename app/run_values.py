"""What an authorize handler leaves of a run that is asked for (`threads:create_run`), checked as the request was.

A handler may write everything that is in it but the ids of the run, its thread and its assistant. What it writes into
`kwargs` is what the run is made with, ceilings and priority in `config.configurable` included.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from app.access.handler_values import must_stay
from app.errors import AuthBroken, InvalidRequest
from app.run_making import groups_of, limited
from app.runs.run_kwargs import restored
from app.runs.runs import NewRun
from app.services import Services

_OPERATION: Final = "threads:create_run"
_LONGEST_DELAY_S: Final = 366 * 86400


class _Config(BaseModel):
    """The parts that the server itself reads; a config may have others."""

    model_config = ConfigDict(strict=True, extra="allow")

    configurable: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    recursion_limit: Annotated[int, Field(ge=1)] | None = None
    max_concurrency: Annotated[int, Field(ge=1)] | None = None


class _Kwargs(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    input: Any
    command: dict[str, Any] | None
    config: _Config
    context: dict[str, Any]
    stream_mode: list[str]
    interrupt_before: str | list[str] | None
    interrupt_after: str | list[str] | None
    webhook: str | None
    feedback_keys: list[str] | None
    temporary: bool
    subgraphs: bool
    resumable: bool
    checkpoint_during: bool
    durability: Literal["sync", "async", "exit"]
    checkpoint: dict[str, Any] | None
    strict_resume: bool


class _Value(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    metadata: dict[str, Any]
    kwargs: _Kwargs
    multitask_strategy: Literal["reject", "interrupt", "rollback", "enqueue"]
    prevent_insert_if_inflight: bool
    if_not_exists: Literal["reject", "create"]
    after_seconds: Annotated[int, Field(ge=0, le=_LONGEST_DELAY_S)]


def shown(new: NewRun) -> dict[str, Any]:
    """A run as the handler sees it; what is nested in it is a copy."""
    return {
        "status": "pending",
        "metadata": deepcopy(dict(new.metadata)),
        "kwargs": deepcopy(new.kwargs),
        "multitask_strategy": new.multitask_strategy,
        "prevent_insert_if_inflight": new.multitask_strategy == "reject",
        "if_not_exists": "create" if new.create_thread else "reject",
        "after_seconds": new.after_s,
    }


def as_left(services: Services, new: NewRun, value: Mapping[str, Any]) -> NewRun:
    """`new` as the handler left it. Raises `AuthBroken` that names the member which cannot be."""
    must_stay(_OPERATION, "status", "pending", value.get("status"))
    kwargs = value.get("kwargs")
    members = {**value, "metadata": value.get("metadata") or {}}
    if isinstance(kwargs, dict):
        members["kwargs"] = kwargs = restored(kwargs)
    try:
        checked = _Value.model_validate(members)
        left = replace(
            new,
            metadata=checked.metadata,
            kwargs=kwargs or {},
            multitask_strategy=_strategy(new, checked),
            create_thread=checked.if_not_exists == "create",
            after_s=checked.after_seconds,
            inline=new.inline and checked.after_seconds == 0,
            groups=groups_of(services.settings, services.graphs.spec(new.graph_id), checked.metadata),
        )
        must_stay(_OPERATION, "kwargs.temporary", new.kwargs["temporary"], left.kwargs["temporary"])
        if left.kwargs["webhook"] not in (None, new.kwargs["webhook"]):
            services.webhook_urls.check(left.kwargs["webhook"])
        return limited(services, new, left)
    except ValidationError as error:
        raise _broken(error.errors(include_url=False, include_context=False, include_input=False)[0]) from None
    except InvalidRequest as error:
        raise AuthBroken(f"the authorize handler of {_OPERATION} left what cannot be: {error}") from None


def _strategy(new: NewRun, checked: _Value) -> str:
    """`prevent_insert_if_inflight` is another word for the strategy `reject`: whichever the handler wrote counts."""
    if checked.multitask_strategy != new.multitask_strategy:
        return checked.multitask_strategy
    if checked.prevent_insert_if_inflight:
        return "reject"
    return "enqueue" if new.multitask_strategy == "reject" else new.multitask_strategy


def _broken(problem: ErrorDetails) -> AuthBroken:
    place = ".".join(map(str, problem["loc"]))
    return AuthBroken(f"the authorize handler of {_OPERATION} left {place}, which cannot be: {problem['msg']}")
