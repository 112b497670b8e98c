"""The section `slipway` of `langgraph.json`: Slipway's own settings for all graphs and for single graphs, and the
project's arq application.

An unknown key is rejected, because it would be a setting without effect.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from slipway.graphs.config_errors import unknown_key
from slipway.graphs.doctor_section import DoctorSection
from slipway.graphs.hooks_section import HookName, HookSection
from slipway.graphs.mcp_section import McpSection, McpServerName
from slipway.graphs.metering_sections import BudgetsSection, PriceSection
from slipway.graphs.models_section import RouteOrModels
from slipway.graphs.project_objects import Source, Text
from slipway.graphs.redaction_section import RedactionSection
from slipway.graphs.review_sections import GraphReviewsSection
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.graphs.served_version import Moves
from slipway.graphs.spec import Durability, ExecutionMode, OnExhausted, Priority
from slipway.graphs.strict_section import NotNegativeWhole, PositiveNumber, PositiveWhole, StrictSection
from slipway.graphs.tools_section import ApprovalPolicySection, GrantSection, ToolSection
from slipway.graphs.version_names import checked_version_name

VersionName = Annotated[str, AfterValidator(checked_version_name)]


class CeilingsSection(StrictSection):
    """`ceilings`: limits of runs, under the names of the settings. A ceiling that is absent in a graph's section has
    the value of `slipway.ceilings`, or else of the deployment's setting."""

    max_steps: PositiveWhole | None = None
    max_node_visits: PositiveWhole | None = None
    max_attempts: PositiveWhole | None = None
    max_retries: PositiveWhole | None = None
    max_active_s: PositiveNumber | None = None
    max_step_s: PositiveNumber | None = None
    max_state_bytes: PositiveWhole | None = None
    max_event_bytes: PositiveWhole | None = None
    max_tool_calls: NotNegativeWhole | None = None
    max_tokens: PositiveWhole | None = None
    max_cost_usd: PositiveNumber | None = None

    @model_validator(mode="before")
    @classmethod
    def _reject_null(cls, section: object) -> object:
        """Null could be mistaken for "no limit", but every ceiling has a limit."""
        for key, limit in section.items() if isinstance(section, dict) else ():
            if limit is None and key in cls.model_fields:
                raise unknown_key(key, "expected a number, found null")
        return section

    def limits(self) -> dict[str, float]:
        """The ceilings that are set, by name."""
        limits: dict[str, Any] = self.model_dump(exclude_none=True)
        return limits


class GraphSection(StrictSection):
    """`slipway.graphs.NAME`: see `GraphSpec` for what each setting means."""

    execution: ExecutionMode = "worker"
    inline_budget_s: PositiveNumber | None = None
    ceilings: CeilingsSection | None = None
    version: VersionName | None = None
    """The name of the only version."""
    versions: dict[VersionName, Source] | None = None
    """The source of each version, oldest first."""
    default: VersionName | None = None
    """The version of new threads. Needed if there are several."""
    moves: Moves | None = None
    migrations: Text | None = None
    on_exhausted: OnExhausted = "fail"
    durability: Durability | None = None
    behaviour: Text = ""
    removed_channels: list[Text] = Field(default_factory=list)
    priority: Priority = "normal"
    max_running_runs: PositiveWhole | None = None
    keep_checkpoints: PositiveWhole | Literal["all"] | None = None
    models: dict[Text, RouteOrModels] = Field(default_factory=dict)
    """The model route of each node; `*` stands for all others."""


class SlipwayOptionsSection(BaseModel):
    """Slipway's own options in the `configurable` of `LANGGRAPH_CONFIG`, beside values for the graph. Every run of the
    graph would be rejected for a wrong one."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    ceilings: CeilingsSection | None = None
    priority: Priority = "normal"


class SlipwaySection(StrictSection):
    """`slipway`."""

    ceilings: CeilingsSection | None = None
    prices: dict[Text, PriceSection] = Field(default_factory=dict)
    budgets: BudgetsSection = BudgetsSection()
    graphs: dict[str, GraphSection | None] = Field(default_factory=dict)
    arq: Source | None = None
    """The `WorkerSettings` of the project's arq application: a class, an object or a dict, as arq accepts."""
    models: dict[Text, RouteOrModels] = Field(default_factory=dict)
    """Model routes by name."""
    mcp: dict[McpServerName, McpSection] = Field(default_factory=dict)
    """MCP servers by name."""
    tools: dict[Text, ToolSection] | None = None
    grants: list[GrantSection] | None = None
    reviews: dict[Text, GraphReviewsSection] = Field(default_factory=dict)
    rollouts: RolloutsSection = RolloutsSection()
    redaction: RedactionSection = RedactionSection()
    doctor: DoctorSection = DoctorSection()
    approval_policies: dict[Text, ApprovalPolicySection] = Field(default_factory=dict)
    hooks: dict[HookName, HookSection] = Field(default_factory=dict)
    """Incoming webhooks by name."""
