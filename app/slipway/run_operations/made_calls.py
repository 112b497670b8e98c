"""The calls of tools that write which the chain of a run has made, as its audit trails have them.

A call is known by LangGraph's task, and a task by its checkpoint. When a run continues from another checkpoint, its
tasks have other ids, so their calls are other calls: the tools act again. An operator has to permit that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from slipway.errors import NotFound
from slipway.runs.audit import MOST_ENTRIES, AuditEntry, AuditTrail
from slipway.runs.record import Run
from slipway.runs.store import RunStore


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call that has begun. Whether the tool has acted is not known if it did not end."""

    run_id: str
    call: str
    tool: str
    node: str
    checkpoint_id: str
    """The checkpoint of the root graph whose task made the call. Empty in entries of earlier releases."""

    @property
    def root_node(self) -> str:
        """The node of the root graph that made the call, or whose subgraph did."""
        return self.node.partition("/")[0]

    def public(self) -> dict[str, Any]:
        """The call as clients receive it."""
        return {"run_id": self.run_id, "call": self.call, "tool": self.tool, "node": self.node}


async def calls_since(runs: RunStore, audit: AuditTrail, run: Run, checkpoint_id: str) -> list[MadeCall]:
    """The calls of tools that write which the chain of `run` has made at this checkpoint of the root graph and at later
    ones, each once. An earlier run of the chain that was deleted has left none."""
    found: dict[str, MadeCall] = {}
    async for each in chain_of(runs, run):
        async for entry in _entries_of(audit, each.run_id):
            call = _made_call(each.run_id, entry)
            if call is not None and (not call.checkpoint_id or call.checkpoint_id >= checkpoint_id):
                found.setdefault(call.call, call)
    return list(found.values())


def sentence_of(calls: Iterable[MadeCall]) -> str:
    """Such as `issue_refund in node pay (2 calls)`."""
    counts = Counter((call.tool, call.node) for call in calls)
    parts = [
        f"{tool} in node {node}" + (f" ({count} calls)" if count > 1 else "") for (tool, node), count in counts.items()
    ]
    return ", ".join(parts)


async def chain_of(runs: RunStore, run: Run) -> AsyncIterator[Run]:
    """The run, and the runs before it in its chain."""
    found: Run | None = run
    while found is not None:
        yield found
        try:
            found = None if found.resumes is None else await runs.find(found.resumes)
        except NotFound:
            return


async def _entries_of(audit: AuditTrail, run_id: str) -> AsyncIterator[AuditEntry]:
    after = ""
    while True:
        entries = await audit.read(run_id, after=after)
        for entry in entries:
            yield entry
        if len(entries) < MOST_ENTRIES:
            return
        after = entries[-1].entry_id


def _made_call(run_id: str, entry: AuditEntry) -> MadeCall | None:
    details = entry.details
    if entry.action != "tool.permitted" or details.get("access") != "write":
        return None
    checkpoint_id = details.get("checkpoint") or ""
    return MadeCall(run_id, details["call"], details["tool"], details["node"], checkpoint_id)
