"""A typical host app: FastAPI with the features that most projects use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, StreamingResponse
from langgraph_sdk import get_client
from pydantic import BaseModel
from starlette.authentication import requires


class Order(BaseModel):
    """The body of `POST /desk/orders`."""

    item: str
    count: int = 1


class SoldOutError(Exception):
    """Converted to a response by an error handler of the app."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Sets `app.state`, and the state of every request."""
    app.state.sold = []
    yield {"opened": "desk"}
    app.state.sold.append("closed")


async def clerk(x_clerk: Annotated[str | None, Header()] = None) -> str:
    """Authenticates with a header of the app."""
    if x_clerk is None:
        raise HTTPException(403, "clerks only")
    return x_clerk


desk = APIRouter(prefix="/desk", tags=["desk"])


@desk.post("/orders", status_code=201)
async def order(order: Order, request: Request, by: Annotated[str, Depends(clerk)], later: BackgroundTasks) -> Order:
    if order.item == "moon":
        raise SoldOutError
    later.add_task(request.app.state.sold.append, f"{order.item} by {by}")
    return order


@desk.get("/sold")
def sold(request: Request) -> dict[str, Any]:
    """A synchronous route."""
    return {"sold": request.app.state.sold, "opened": request.state.opened}


@desk.get("/me")
@requires("desk")
async def me(request: Request) -> dict[str, Any]:
    """The user that the auth file returned."""
    return {"identity": request.user.identity, "team": request.user["team"], "permissions": request.auth.scopes}


@desk.get("/words")
async def words() -> StreamingResponse:
    async def each() -> AsyncIterator[str]:
        for word in ("one ", "two ", "three"):
            yield word

    return StreamingResponse(each(), media_type="text/plain")


@desk.get("/greeting")
async def greeting() -> Any:
    """Creates a run in this deployment."""
    client = get_client()
    thread = await client.threads.create()
    run = await client.runs.create(thread["thread_id"], "greet", input={"text": "desk"}, after_seconds=3600)
    return {"run": run["status"]}


@desk.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


app = FastAPI(title="Desk", lifespan=lifespan)
app.include_router(desk)
app.add_middleware(CORSMiddleware, allow_origins=["https://desk.example"])


@app.middleware("http")
async def add_header(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Adds a header to every response."""
    response = await call_next(request)
    response.headers["x-desk"] = "yes"
    return response


@app.exception_handler(SoldOutError)
async def on_sold_out(request: Request, error: SoldOutError) -> JSONResponse:
    return JSONResponse({"sold": "out"}, 409)
