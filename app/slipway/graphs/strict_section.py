"""The base of all sections below `slipway` in `langgraph.json`, and the numbers in them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slipway.graphs.config_errors import unknown_key
from slipway.graphs.official_sections import Whole
from slipway.value_problems import did_you_mean

PositiveWhole = Annotated[Whole, Field(gt=0)]

NotNegativeWhole = Annotated[Whole, Field(ge=0)]

PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StrictSection(BaseModel):
    """A section that rejects unknown keys, because each would be a setting without effect."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, section: object) -> object:
        for key in section if isinstance(section, dict) else ():
            if key not in cls.model_fields:
                raise unknown_key(key, cls._why_unknown(key))
        return section

    @classmethod
    def _why_unknown(cls, key: str) -> str:
        return f"unknown key{did_you_mean(key, cls.model_fields)}"
