"""Where Slipway differs from the reference server on purpose, each with the reason.

An entry that covers nothing any more is reported as an error, so the table says what is so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.differential.comparison import Difference


@dataclass(frozen=True)
class Intended:
    """A kind of difference that is meant. `where` is searched in `scenario › step › path (kind)`."""

    where: str
    reason: str
    when: Callable[[Difference], bool] = lambda difference: True

    def covers(self, difference: Difference) -> bool:
        """Whether this is the difference that is meant."""
        return bool(re.search(self.where, place_of(difference))) and self.when(difference)


def place_of(difference: Difference) -> str:
    """One line that says where it is."""
    return f"{difference.scenario} › {difference.step} › {difference.path} ({difference.kind})"


def says_what_clients_look_for(difference: Difference) -> bool:
    """Both are texts, and where the reference says "not found", ours does, too."""
    theirs, ours = difference.reference, difference.ours
    if not isinstance(theirs, str) or not isinstance(ours, str):
        return False
    return "not found" not in theirs.lower() or "not found" in ours.lower()


RUN: Final = (
    r"\.(phase|reason|attempt|graph_id|error|usage|ceilings|resumed_by|interrupts|kwargs\.(checkpoint|strict_resume))"
)

INTENDED: Final[tuple[Intended, ...]] = (
    Intended(
        r"\.langgraph_(plan|host|api_url|api_version|version) \(missing\)",
        "the reference server's plan, host, URL and versions in every config, checkpoint and event: facts about that "
        "product, which cost bytes everywhere",
    ),
    Intended(
        r"\.(langgraph_auth_user|langgraph_auth_user_id|langgraph_auth_permissions|user_id|langgraph_request_id) "
        r"\(missing\)",
        "who called and with which request is never part of an answer",
    ),
    Intended(
        r"\.__(request_start_time_ms|after_seconds|pregel_node_finished)(__)? \(missing\)",
        "the reference server's bookkeeping inside `configurable`",
    ),
    Intended(r"\.headers\.cache-control \(extra\)", "answers of runs are not to be kept by a cache"),
    Intended(r"\.events\[.*\]\.id \(extra\)", "every event of every stream has an id, so all can be resumed"),
    Intended(r"\.events\[metadata\]\.retry \(extra\)", "a stream says how long a client waits before it comes back"),
    Intended(rf"\.body(\[\d+\])?{RUN} \(extra\)", "what Slipway knows of a run beside the protocol's fields"),
    Intended(rf"run › {RUN} \(extra\)", "the same"),
    Intended(r"webhook .*\.body\.body\.(interrupts|event_id|delivery_id|attempt) \(extra\)", "the same in webhooks"),
    Intended(
        r"\.body\.(code|error|field|hint|kind|id|known|status|thread_id|run_id|allowed|reason) \(extra\)",
        "errors have a stable code, and say what they are about",
        lambda difference: True,
    ),
    Intended(r"\.body\.(detail|message) \(value\)", "errors have texts of our own", says_what_clients_look_for),
    Intended(r"\.seq \(value\)", "`seq` grows along the thread, and jumps between runs"),
    Intended(r"\.event_id \(value\)", "events have ids of another form; clients compare them only with one another"),
    Intended(r"\.applied_through_seq \(value\)", "the reference always says 0"),
    Intended(r"\.body\.(last_run_id|problem) \(extra\)", "what became of a cron's last run"),
)
