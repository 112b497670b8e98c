"""Collects the verdicts of a deploy check, and says them in words: counts by version, and reasons with some ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from slipway.deploy_checks.check import CheckedVerdict
from slipway.deploy_checks.unknown_migrations import UnknownMigration
from slipway.graphs.verdict import VerdictKind

IDS_SHOWN: Final = 5
"""How many threads are named for each reason."""

_REASONS_SHOWN: Final = 50

Versions = tuple[str, str, str]
"""Graph, version of the thread ("" if it is not known), version of the new release ("" if none)."""


@dataclass(slots=True)
class _Threads:
    """The threads with one reason."""

    count: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DeployReport:
    """What a check has found. `allowed` are codes of reasons and names of graphs for which threads may be held."""

    allowed: Collection[str] = ()
    read: int = 0
    total: int = 0
    """How many threads are stored."""
    complete: bool = True
    """Whether all of them were read."""
    verdicts: Counter[tuple[Versions, VerdictKind]] = field(default_factory=Counter)
    schemas: dict[Versions, set[str]] = field(default_factory=dict)
    """With which structures the threads were executed, for those that continue on another one."""
    held: int = 0
    """Threads that are held, and are not allowed to be."""
    warnings: Sequence[UnknownMigration] = ()
    """What fails no deploy."""
    _reasons: dict[tuple[Versions, VerdictKind, str, str], _Threads] = field(default_factory=dict)

    def add(self, checked: CheckedVerdict) -> None:
        thread, verdict = checked.thread, checked.verdict
        versions = (thread.graph_id, thread.version, checked.target)
        self.verdicts[versions, verdict.kind] += 1
        if thread.schema:
            self.schemas.setdefault(versions, set()).add(thread.schema)
        if verdict.kind is VerdictKind.HOLD and not self._is_allowed(checked):
            self.held += 1
        for reason in verdict.reasons:
            found = self._reasons.setdefault((versions, verdict.kind, reason.code, reason.text), _Threads())
            found.count += 1
            if len(found.ids) < IDS_SHOWN:
                found.ids.append(thread.thread_id)

    def _is_allowed(self, checked: CheckedVerdict) -> bool:
        codes = {reason.code for reason in checked.verdict.reasons}
        return checked.thread.graph_id in self.allowed or codes <= set(self.allowed)

    def held_reasons(self) -> set[str]:
        """The codes for which threads are held, also those that are allowed."""
        return {code for _, kind, code, _ in self._reasons if kind is VerdictKind.HOLD}

    def count(self, kind: VerdictKind) -> int:
        return sum(count for (_, each), count in self.verdicts.items() if each is kind)

    def lines(self) -> Iterator[str]:
        """The report for people."""
        counts = ", ".join(f"{self.count(kind)} {kind.value}" for kind in VerdictKind)
        yield f"{self.read} threads: {counts}"
        for versions in sorted({versions for versions, _ in self.verdicts}):
            yield from self._lines_of(versions)
        yield from self.warning_lines()

    def warning_lines(self) -> Iterator[str]:
        """The warnings for people."""
        yield from (f"warning: {warning}" for warning in self.warnings)

    def _lines_of(self, versions: Versions) -> Iterator[str]:
        counts = [f"{count} {kind.value}" for kind in VerdictKind if (count := self.verdicts[versions, kind])]
        yield f"  {_title(versions)}: {', '.join(counts)}"
        reasons = [each for each in self._reasons.items() if each[0][0] == versions]
        reasons.sort(key=lambda each: -each[1].count)
        for (_, kind, code, text), threads in reasons[:_REASONS_SHOWN]:
            more = f", and {threads.count - len(threads.ids)} more" if threads.count > len(threads.ids) else ""
            yield f"    {kind.value} {code}: {text}"
            yield f"      {threads.count} threads: {', '.join(threads.ids)}{more}"
        if len(reasons) > _REASONS_SHOWN:
            yield f"    and {len(reasons) - _REASONS_SHOWN} other reasons: --json lists every thread"


def json_of(checked: CheckedVerdict) -> dict[str, Any]:
    """One thread."""
    thread = checked.thread
    return {
        "thread_id": thread.thread_id,
        "graph_id": thread.graph_id,
        "status": thread.status,
        "version": thread.version or None,
        "target": checked.target or None,
        "verdict": checked.verdict.kind.value,
        "reasons": [{"code": reason.code, "text": reason.text} for reason in checked.verdict.reasons],
        "migrations": [list(pair) for pair in checked.verdict.migrations],
    }


def _title(versions: Versions) -> str:
    graph_id, old, new = versions
    known = f"{graph_id}@{old}" if old else f"{graph_id} (version not known)"
    return known if new == old else f"{known} → {new or 'no version'}"
