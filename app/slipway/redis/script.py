"""A Lua script: sent by its digest, and whole to a server that does not have it yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One script. If it is `repeatable`, two executions with the same arguments have the effect of one."""

    name: str
    source: str
    sha: str
    repeatable: bool
