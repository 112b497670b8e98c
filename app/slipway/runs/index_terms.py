"""The sets that the indexes of runs have: one for each phase, and one for each index term.

Scripts maintain the sets (`redis/lua/lib/run_indexes.lua`). `runs/search.py` and `runs/unfinished_runs.py` read them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from slipway.access.users import identity_of, owner_of_user
from slipway.assistants.system import system_id
from slipway.indexes.terms import Space, scalar_term

UNFINISHED: Final = "unfinished"
"""The set of all runs that are queued, running or paused. Each other phase has a set of its name."""


def run_terms(assistant_id: str, graph_id: str, user: dict[str, Any] | None) -> list[str]:
    """The terms of a new run. The runs of a graph are those of its system assistant, and those with the term of the
    graph: most runs have a system assistant, and so need one term less."""
    terms = [assistant_term(assistant_id)]
    if assistant_id != system_id(graph_id):
        terms.append(other_assistants_term(graph_id))
    if (owner := owner_of(user)) is not None:
        terms.append(owner_term(owner))
    return terms


def assistant_term(assistant_id: str) -> str:
    return _term("assistant_id", assistant_id)


def other_assistants_term(graph_id: str) -> str:
    """The runs of a graph whose assistant is not its system assistant."""
    return _term("graph_id", graph_id)


def owner_term(owner: str) -> str:
    return _term("owner", owner)


def error_term(code: str) -> str:
    """The runs that failed with an error code."""
    return _term("error", code)


def owner_of(user: dict[str, Any] | None) -> str | None:
    """To whom a run belongs: the owner of its stored user if the user has one, such as that of an API key, else the
    identity of the user."""
    return owner_of_user(user) or identity_of(user)


@lru_cache(maxsize=4096)
def _term(member: str, value: str) -> str:
    term = scalar_term(Space.RECORD, member, value)
    assert term is not None  # a text has a term
    return term
