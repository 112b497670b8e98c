"""What is known about one tool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from slipway.canonical_json import canonical_json
from slipway.graphs.tools_section import Access, ApprovalPolicySection

Args = Mapping[str, Any]
"""The arguments of a call by name, as JSON, without those that LangGraph injects."""

Predicate = Callable[[dict[str, Any]], Any]
"""Whether a call with these arguments needs approval: true or false, or the name of a policy. May be a coroutine
function."""


@dataclass(frozen=True, slots=True)
class Approval:
    """The approval rule of a tool. With `always`, each call needs approval; otherwise `predicate` decides."""

    text: str
    """As it was declared."""
    kind: Literal["always", "never", "predicate"]
    predicate: Predicate | None = None
    policy: ApprovalPolicySection = field(default_factory=ApprovalPolicySection)
    policy_name: str = ""


NEVER = Approval("never", "never")


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """One tool: what `langgraph.json` and the project's code declare together."""

    name: str
    declared_at: str
    """File and line."""
    version: str = "1"
    access: Access = "write"
    """Whether the tool changes something. One that does not say so counts as `write`."""
    secrets: frozenset[str] = frozenset()
    """The environment variables that only this tool may read, by `slipway.tools.secret`."""
    timeout_s: float | None = None
    """Seconds that each try may take. None means no limit but those of the run."""
    retries: int = 0
    """How many more tries follow when one raises. A retry has the idempotency key of the first try."""
    args_schemas: tuple[Mapping[str, Any], ...] = ()
    """JSON schemas that the arguments must match, beside the types that the code declares."""
    result_schemas: tuple[Mapping[str, Any], ...] = ()
    redact: tuple[str, ...] = ()
    """Arguments that reviewers and records must not contain: names, or paths such as `customer.iban`."""
    approval: Approval = NEVER
    fallback: str | None = None
    """The tool that is called with the same arguments when this one fails."""
    fingerprint: str | None = None
    """Of the name, description and schemas that the MCP server of the tool has. People who approved a call approved it
    of this tool."""

    @property
    def writes(self) -> bool:
        return self.access == "write"

    @property
    def digest(self) -> str:
        """12 hex digits that change with everything but the place of the declaration. Computed in each call."""
        members = asdict(replace(self, declared_at="", approval=NEVER))
        members |= {"secrets": sorted(self.secrets), "approval": self.approval.text}
        return hashlib.sha256(canonical_json(members).encode()).hexdigest()[:12]
