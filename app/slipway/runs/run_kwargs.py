"""Run.kwargs: how a run's request is stored, and how clients see it.

The record holds only what differs from the defaults, and nothing that the record has elsewhere. `restored` gives every
member back. `shown` adds what the protocol repeats inside `config`: the ids of the run, its metadata, its attempt and
the checkpoint that it starts from. For whom the run works is no part of either.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

_DEFAULTS: Final[Mapping[str, Any]] = {
    "input": None,
    "command": None,
    "config": {},
    "context": {},
    "stream_mode": ["values"],
    "interrupt_before": None,
    "interrupt_after": None,
    "webhook": None,
    "feedback_keys": None,
    "temporary": False,
    "subgraphs": False,
    "resumable": False,
    "checkpoint_during": True,
    "durability": "async",
    "checkpoint": None,
    "strict_resume": False,
}


def stored(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What the record holds of `kwargs`. `config.metadata` is part of the run's metadata already."""
    config = {name: value for name, value in (kwargs.get("config") or {}).items() if value and name != "metadata"}
    members = {**kwargs, "config": config}
    return {name: value for name, value in members.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}


def restored(held: Mapping[str, Any]) -> dict[str, Any]:
    """All members again, in the protocol's order."""
    members: dict[str, Any] = deepcopy(dict(_DEFAULTS))
    return members | dict(held)


def shown(
    kwargs: Mapping[str, Any], ids: Mapping[str, str], metadata: Mapping[str, Any], attempt: int
) -> dict[str, Any]:
    """As clients see it: `ids` are those that nodes find in `configurable`; `attempt` is 0 before the first claim."""
    config, checkpoint = kwargs["config"], kwargs["checkpoint"] or {}
    seen = {
        **config,
        "configurable": {**config.get("configurable", {}), **checkpoint, **ids},
        "metadata": {**metadata, "run_attempt": attempt} if attempt else metadata,
    }
    return {**kwargs, "config": seen, "context": kwargs["context"] or {}}
