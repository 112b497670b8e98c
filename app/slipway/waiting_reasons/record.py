"""The answer to the question what a run waits for: `Why`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from slipway.access.operators import ADMINISTER, ANONYMOUS, OPERATE, REVIEW
from slipway.access.scopes import Scope
from slipway.clock import iso

MOST_RUNS: Final = 5
"""The ids of other runs, of each kind, that an answer names."""

MOST_CHARACTERS: Final = 300
"""Of a text that the project or a client has written, such as the reason of a pause or the name of a node."""


class WaitsFor(StrEnum):
    """What must happen before the run continues."""

    FREE_WORKER = "free_worker"
    """It is due, and the workers have not reached its job."""
    LIVE_WORKER = "live_worker"
    """It is due, and no live worker claims runs."""
    EARLIER_RUN = "earlier_run"
    """Another run of its thread executes, or is before it."""
    DUE_TIME = "due_time"
    """It starts later: because of its request, or after a crash or a fault."""
    CONCURRENCY_GROUP = "concurrency_group"
    """As many runs of one of its groups execute as may."""
    VERSION = "version"
    """A worker that serves its version of the graph must claim it."""
    MEMORY = "memory"
    """Redis has no room for what the run is expected to store."""
    CRASH_SUSPECTS = "crash_suspects"
    """A worker died with it: few of the runs that died together start at once."""
    REPAIR = "repair"
    """No queue has its job."""
    ATTEMPT = "attempt"
    """A process executes it."""
    RECLAIM = "reclaim"
    """Its lease has expired: the process that executed it is gone, and another must take it over."""
    OPERATOR = "operator"
    """An operator has paused it."""
    SWITCH = "switch"
    """It is paused before something that is switched off."""
    HELD_VERSION = "held_version"
    """No version of its graph may continue its thread."""
    EXHAUSTED = "exhausted"
    """It is paused because its retries or its attempts are used up."""
    REVIEWS = "reviews"
    """People must decide its questions."""
    HELD_ANSWERS = "held_answers"
    """All its questions have answers, and it is resumed next."""
    ANSWER = "answer"
    """A client must continue it: it stopped at a breakpoint, or at an interrupt without a review."""
    NOTHING = "nothing"
    """It has ended."""


_UTC_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", re.ASCII)

_SCOPE_OF: Final = {OPERATE: Scope.OPERATE, REVIEW: Scope.REVIEWS_DECIDE, ADMINISTER: Scope.ADMINISTER}


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody can do, and how. It has a command, a route, or both."""

    what: str
    """A verb with its object, such as `resume it`."""
    who: str
    """Such as `an operator`."""
    command: str | None = None
    """A CLI command, ready to be executed."""
    route: str | None = None
    """Method and path, and the body if it needs one."""
    permission: str | None = None
    """That the route needs. Commands need access to Redis or to the deployment."""

    def public(self) -> dict[str, Any]:
        """The member of the response."""
        return {
            "what": self.what,
            "who": self.who,
            "command": self.command,
            "route": self.route,
            "permission": self.permission,
            "scope": _SCOPE_OF.get(self.permission or "", self.permission),
        }


@dataclass(frozen=True, slots=True)
class Fact:
    """One detail of an answer."""

    name: str
    """A member of the JSON object `detail`; also the label in the text."""
    value: Any
    """JSON."""
    private: bool = False
    """Whether only operators see it: it is about runs of others, or about the machines of the deployment."""


@dataclass(frozen=True, slots=True)
class Why:
    """What a run waits for, as it was at the moment of reading."""

    run_id: str
    thread_id: str
    graph_id: str
    phase: str
    waits_for: WaitsFor
    summary: str
    """One sentence."""
    since_us: int
    """When it began to wait for this, as far as it is known: else when its phase has changed last."""
    now_us: int
    """When it was read, on the clock of Redis."""
    facts: Sequence[Fact] = ()
    acts: Sequence[Act] = ()
    notes: Sequence[str] = ()
    """Sentences about what else keeps the run, such as a requested cancel."""
    private_summary: str | None = None
    """The sentence for operators, if it differs."""

    def for_reader(self, *, operator: bool) -> Why:
        """The answer without what only operators see."""
        if operator:
            return self
        return replace(self, facts=[fact for fact in self.facts if not fact.private], private_summary=None)

    @property
    def sentence(self) -> str:
        """The summary, with names that only operators see, if the answer has them."""
        return self.private_summary or self.summary

    @property
    def waited_s(self) -> float:
        """Seconds."""
        return round(max(self.now_us - self.since_us, 0) / 1e6, 3)

    def public(self) -> dict[str, Any]:
        """The response of `GET /ops/runs/{run_id}/why`."""
        return {
            "run_id": self.run_id,
            "thread_id": self.thread_id,
            "graph_id": self.graph_id,
            "phase": self.phase,
            "waits_for": self.waits_for.value,
            "summary": self.sentence,
            "since": iso(self.since_us),
            "waited_s": self.waited_s,
            "read_at": iso(self.now_us),
            "detail": {fact.name: fact.value for fact in self.facts},
            "acts": [act.public() for act in self.acts],
            "notes": list(self.notes),
        }


def bounded(text: str) -> str:
    """The text with at most `MOST_CHARACTERS` characters."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def who(name: str) -> str:
    """Who has done something, for a sentence."""
    return "somebody who is not signed in" if name == ANONYMOUS else bounded(name)


def time_text(time: str) -> str:
    """A time in ISO 8601 in UTC as sentences and terminals show it, such as `2026-11-30 22:42:44 UTC`. Another text
    stays as it is."""
    match = _UTC_TIME.fullmatch(time)
    return f"{match[1]} {match[2]} UTC" if match else time


def seconds_text(seconds: float) -> str:
    """A duration for people, such as `2 min 5 s`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    minutes, second = divmod(total, 60)
    if minutes < 60:
        return f"{minutes} min {second} s"
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
