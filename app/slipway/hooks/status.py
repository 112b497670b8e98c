"""What operators see of a hook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipway.clock import iso
from slipway.graphs.hooks_section import HookConfig
from slipway.hooks.reads import HookReads
from slipway.hooks.record import HookCounts


@dataclass(frozen=True, slots=True)
class HookStatus:
    """A hook, and what became of its deliveries since the deployment exists."""

    config: HookConfig
    counts: HookCounts
    last_received_us: int | None

    @property
    def does(self) -> str:
        """What its deliveries do, in words."""
        section = self.config.section
        if section.decide is not None:
            return "decides a review"
        return f"starts {section.assistant}" if self.config.resume is None else "resumes a run"

    def public(self) -> dict[str, Any]:
        """The status as JSON. It has no secret."""
        section = self.config.section
        return {
            "hook": self.config.name,
            "path": f"/hooks/{self.config.name}",
            "scheme": section.verify.scheme,
            "does": self.does,
            "events": section.events,
            "owner": section.owner,
            "counts": dict(self.counts.by_outcome),
            "last_received_at": None if self.last_received_us is None else iso(self.last_received_us),
            "last_refused_at": None if self.counts.refused_us is None else iso(self.counts.refused_us),
            "last_refused_why": self.counts.refused_why,
        }


async def hook_status(reads: HookReads, config: HookConfig) -> HookStatus:
    """Two round trips."""
    return HookStatus(config, await reads.counts(config.name), await reads.last_received_us(config.name))
