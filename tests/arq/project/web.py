"""A host app that enqueues a job in its lifespan and in a route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import slipway.arq


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    job = await slipway.arq.pool().enqueue_job("greet", "lifespan")
    assert job is not None
    yield {"first_job": job.job_id}


async def greet(request: Request) -> JSONResponse:
    job = await slipway.arq.pool().enqueue_job("greet", request.path_params["name"])
    assert job is not None
    return JSONResponse({"job_id": job.job_id, "first_job": request.state.first_job})


app = Starlette(routes=[Route("/greet/{name}", greet)], lifespan=lifespan)
