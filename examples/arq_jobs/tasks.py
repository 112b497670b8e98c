"""The arq application. It also runs with arq's own command line, `arq tasks.WorkerSettings`, except for the cron job,
which needs Slipway."""

from __future__ import annotations

from typing import Any, Final

import httpx
from arq import Retry, cron
from langgraph_sdk import get_client

PAGES: Final = ["https://example.com/", "https://example.org/"]
"""The pages of the report of the night."""

MAX_TRIES: Final = 3


async def open_http_client(ctx: dict[Any, Any]) -> None:
    """Opens one client, which all jobs of the process share."""
    ctx["http"] = httpx.AsyncClient(timeout=10, follow_redirects=True)


async def close_http_client(ctx: dict[Any, Any]) -> None:
    """Closes the client when the process stops."""
    if "http" in ctx:
        await ctx["http"].aclose()


async def fetch_page(ctx: dict[Any, Any], url: str) -> dict[str, Any]:
    """The status and the size of a page. A server that does not respond is asked again, later each time."""
    try:
        response = await ctx["http"].get(url)
    except httpx.TransportError as error:
        if ctx["job_try"] < MAX_TRIES:
            raise Retry(defer=ctx["job_try"] * 2) from error
        return {"url": url, "problem": type(error).__name__}
    return {"url": url, "status": response.status_code, "bytes": len(response.content)}


async def report_of_the_night(ctx: dict[Any, Any]) -> str:
    """Starts a run and waits for its report."""
    client: Any = get_client()
    values = await client.runs.wait(None, "page_report", input={"urls": PAGES})
    return str(values["report"])


class WorkerSettings:
    functions = (fetch_page,)
    cron_jobs = (cron(report_of_the_night, hour=3, minute=15, keep_result=86_400),)
    on_startup = open_http_client
    on_shutdown = close_http_client
    max_tries = MAX_TRIES
    job_timeout = 30
