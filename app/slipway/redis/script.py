"""A Lua script as it is sent: by its digest, and whole to a server that does not know it yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One script. `repeatable` promises that running it twice with the same arguments equals running it once."""

    name: str
    source: str
    sha: str
    repeatable: bool
