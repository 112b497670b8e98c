"""A Lua script. A call sends its digest; the source is sent only to a server that does not have the script yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """One script. If it is `repeatable`, two executions with the same arguments have the effect of one."""

    name: str
    source: str
    sha: str
    repeatable: bool
    uncounted: Script | None = None
    """The same without what counts for metrics; None for a script that counts nothing."""
    sharded: Script | None = None
    """The same for a cluster, where messages stay on the servers of their slot; None for a script that publishes
    nothing."""
