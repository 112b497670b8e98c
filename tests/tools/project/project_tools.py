"""Tools that count how often they have their effect."""

import asyncio
import os
import secrets
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any

from langchain_core.tools import BaseTool, InjectedToolCallId, ToolException, tool
from langgraph.config import get_config
from langgraph.runtime import get_runtime
from pydantic import BaseModel

import slipway.tools

effects: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
"""Thread id to what was done on it: the name of the tool, and its arguments."""

keys: defaultdict[str, list[str]] = defaultdict(list)
"""Thread id to the idempotency keys of its calls of tools."""

failures: Counter[str] = Counter()
"""Thread id to how many more calls fail."""

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


def done(name: str, *args: Any) -> None:
    thread_id = get_config()["configurable"]["thread_id"]
    effects[thread_id].append((name, args))
    keys[thread_id].append(slipway.tools.idempotency_key())
    if folder := os.environ.get("EFFECTS"):
        with Path(folder, thread_id).open("a") as file:
            file.write(f"{name} {args} {slipway.tools.idempotency_key()}\n")


@slipway.tools.tool(access="write", secrets=["PAYMENT_KEY"])
@tool
async def issue_refund(order: str, amount: float = 1.0) -> str:
    """Refund an order."""
    done("issue_refund", order, amount)
    return f"refunded {order}: {amount}"


@tool
@slipway.tools.tool(access="write")
def send_mail(to: str, text: str = "") -> str:
    """Send a mail."""
    done("send_mail", to, text)
    return f"sent to {to}"


@slipway.tools.tool(access="write", approval="always")
async def approved_refund(order: str) -> str:
    """Refund an order, when somebody has approved it."""
    done("approved_refund", order)
    return order


@slipway.tools.tool(access="write")
async def calls_approved_refund(order: str) -> str:
    """A tool that calls one which people must approve."""
    return str(await slipway.tools.call("approved_refund", order=order))


@slipway.tools.tool(access="write")
async def slow_refund(order: str) -> str:
    """Refund an order, for longer than its node may take."""
    done("slow_refund", order)
    await asyncio.sleep(0.3)
    return order


@slipway.tools.tool(access="write")
async def checks_checkpoint() -> str:
    """Whether the checkpoint from which the current task was made is stored."""
    info = get_runtime().execution_info
    assert info is not None
    thread_id = get_config()["configurable"]["thread_id"]
    namespace = info.checkpoint_ns.rpartition("|")[0]
    place = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": info.checkpoint_id}
    found = await stored[thread_id]({"configurable": place})
    return "missing" if found is None else "stored"


stored: dict[str, Any] = {}
"""Thread id to the function that reads a checkpoint."""


@slipway.tools.tool(access="write")
async def large_result() -> str:
    """Returns more than is kept."""
    done("large_result")
    return secrets.token_hex(1 << 20)


async def lookup_order(order: str) -> dict[str, Any]:
    """Find an order."""
    done("lookup_order", order)
    return {"order": order, "total": 10}


def lookup_customer(name: str) -> dict[str, Any]:
    """Find a customer."""
    done("lookup_customer", name)
    return {"name": name}


class Ledger(BaseTool):
    """A tool that is an object of a class."""

    name: str = "ledger"
    description: str = "Book an amount."

    def _run(self, amount: int) -> str:
        done("ledger", amount)
        return f"booked {amount}"


ledger = Ledger()


@slipway.tools.tool(access="read", secrets=["SEARCH_KEY"], timeout_s=0.2, retries=2)
async def search(text: str) -> str:
    """Search, with failures that the test asks for."""
    thread_id = get_config()["configurable"]["thread_id"]
    done("search", text)
    if text == "slow":
        await asyncio.sleep(60)  # the time limit of the tool ends it
    if text == "wrong":
        raise ValueError("no such text")
    if text == "model":
        raise ToolException("nothing found")
    if text == "secret":
        raise RuntimeError(f"401 for {slipway.tools.secret('SEARCH_KEY')}")
    if text == "leak":
        return f"key={slipway.tools.secret('SEARCH_KEY')}"
    if text == "foreign":
        return slipway.tools.secret("PAYMENT_KEY")
    if failures[thread_id] > 0:
        failures[thread_id] -= 1
        raise ConnectionError("try again")
    return f"found {text}"


@slipway.tools.tool(access="read", timeout_s=0.1)
def blocks(thread: str) -> str:
    """Blocks its thread longer than it may."""
    gate = threading.Event()
    gate.wait(0.5)
    return thread


class Item(BaseModel):
    """One line of an order."""

    sku: str
    count: int = 1


@slipway.tools.tool(access="write", result_schema={"type": "object", "required": ["id"]})
async def place_order(items: list[Item], note: str | None = None) -> dict[str, Any]:
    """Order items."""
    done("place_order", [item.sku for item in items], note)
    return {"id": 7} if note != "broken" else {"error": "no id"}


@slipway.tools.tool(access="read", fallback="lookup_customer")
async def lookup_customer_remotely(name: str) -> dict[str, Any]:
    """Find a customer in another system, which is down."""
    if not name:
        raise ValueError("a name is required")
    raise ConnectionError(f"no route to the system of {name}")


@slipway.tools.tool(access="write")
@tool
async def outer(order: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> str:
    """A tool that calls another one."""
    done("outer", order, tool_call_id)
    return str(await issue_refund.ainvoke({"order": order}))


def plain_function(order: str) -> str:
    """No tool."""
    return order


@tool
def unregistered(order: str) -> str:
    """A LangChain tool that nobody registered."""
    done_by_nobody.append(order)
    return order


done_by_nobody: list[str] = []
