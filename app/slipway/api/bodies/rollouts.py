"""Request bodies of rollouts."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from slipway.api.bodies.body import StrictBody, WithoutNul
from slipway.api.bodies.run_operations import OperatorBody
from slipway.rollouts.record import RequestRule
from slipway.rollouts.weights import header_rule, metadata_rule, weight_of

Name = Annotated[str, Field(min_length=1, max_length=200), WithoutNul]
Percent = Annotated[float, Field(strict=True)]


class TestersBody(StrictBody):
    """A header or a member of the metadata, and the value by which testers get the ramping version."""

    header: Name | None = None
    metadata: Name | None = None
    value: Annotated[str, Field(max_length=1000), WithoutNul]

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.header is None) == (self.metadata is None):
            raise ValueError("give either header or metadata")
        return self

    def rule(self) -> RequestRule:
        """The rule for new threads."""
        if self.header is not None:
            return header_rule(self.header, self.value)
        return metadata_rule(self.metadata or "", self.value)


class RolloutBody(OperatorBody):
    """`versions` has the share of the new threads of each version in percent. Without `testers` the rules of a version
    that is ramping stay as they are; an empty list removes them."""

    versions: Annotated[dict[Name, Percent], Field(min_length=1, max_length=100)]
    testers: Annotated[list[TestersBody], Field(max_length=100)] | None = None

    def weights(self) -> dict[str, int]:
        """The weights by version. Raises `InvalidRequest`."""
        return {version: weight_of(f"versions.{version}", percent) for version, percent in self.versions.items()}

    def rules(self) -> list[RequestRule] | None:
        """The rules for testers; None to keep them."""
        return None if self.testers is None else [testers.rule() for testers in self.testers]


class PromoteBody(OperatorBody):
    """The version to make current; by default the one that is ramping."""

    version: Name | None = None
