"""Replaces the package of the search provider, which sends requests to the internet."""

from __future__ import annotations

from typing import Any


class TavilySearch:
    """Returns the same page for each query."""

    def __init__(self, max_results: int = 5) -> None:
        self.max_results = max_results

    async def ainvoke(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"query": arguments["query"], "max_results": self.max_results, "results": [{"title": "A page"}]}
