"""The budgets of owners and graphs, for operators."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import operators
from slipway.api.endpoints import Endpoint, int_param
from slipway.api.request_parsing import query_number
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.budget_counts.budget_use import MOST_BUDGETS, budgets_in_use
from slipway.budget_counts.scripts import BudgetScripts
from slipway.budgets import Budgets


async def read(request: Request) -> Response:
    """The budgets of which something was used in the current day or month, with their limits."""
    services, limit = services_of(request), query_number(request, "limit", 100, 1, MOST_BUDGETS)
    scripts = BudgetScripts(services.pipeline, services.shards.limits)
    budgets = await budgets_in_use(scripts, Budgets(services.config.budgets), limit)
    return JsonResponse({"budgets": [budget.public() for budget in budgets]})


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/ops/budgets",
        read,
        "Read what owners and graphs have used of their budgets",
        operators(OPERATE),
        query=(int_param("limit", 100, 1, MOST_BUDGETS),),
    ),
)
