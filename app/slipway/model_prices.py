"""What calls of models cost: a table of prices by the name of the model.

The setting `prices` and `slipway.prices` in langgraph.json have the same form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""US dollars for one million tokens."""

_NANO_PER_TOKEN: Final = 1000
"""Nano-dollars for one token at a price of one dollar for one million."""

_RELEASE: Final = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest|@\d{8})$")
"""How names of models say which release they mean."""


class ModelPrice(BaseModel):
    """The price of one model, in US dollars for one million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    input: Price
    output: Price
    cached: Price | None = None
    """For input tokens that the provider had cached. None: as other input tokens."""
    cache_write: Price | None = None
    """For input tokens that the provider writes to its cache. None: as other input tokens."""
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    """The most tokens that one call generates, for a call that does not limit them itself."""

    def cost_nano(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0, written_tokens: int = 0) -> int:
        """The price of one call in nano-dollars. `cached_tokens` and `written_tokens` are parts of `input_tokens`
        that the provider has read from its cache, and written to it."""
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.cache_write is None else self.cache_write
        read = cached_tokens * cached + written_tokens * written
        dollars = (input_tokens - cached_tokens - written_tokens) * self.input + read + output_tokens * self.output
        return round(dollars * _NANO_PER_TOKEN)

    def most_cost_nano(self, input_tokens: int, output_tokens: int) -> int:
        """The most that one call costs: if the provider writes all of its input to its cache, or none."""
        return max(self.cost_nano(input_tokens, output_tokens, 0, written) for written in (0, input_tokens))


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by the name of the model."""

    prices: Mapping[str, ModelPrice]

    def price_of(self, model: str, provider: str | None = None) -> ModelPrice | None:
        """The price of a model. A table may name it with its provider (`openai:gpt-5`), and without its release
        (`gpt-5` for `gpt-5-2026-01-31`). The more precise name takes precedence. None: the price is unknown."""
        without_release = _RELEASE.sub("", model)
        names = [f"{provider}:{model}", model, f"{provider}:{without_release}", without_release]
        return next((self.prices[name] for name in names if name in self.prices), None)
