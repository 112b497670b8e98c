"""Stands in for the search provider: the real one calls out. The graphs import it by the provider's name."""

from __future__ import annotations

from typing import Any


class TavilySearch:
    """Finds one page, whatever is searched."""

    def __init__(self, max_results: int = 5) -> None:
        self.max_results = max_results

    async def ainvoke(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"query": given["query"], "max_results": self.max_results, "results": [{"title": "A page"}]}
