"""The write tool: pays a refund once, however often it is called with the same key."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Final

from langgraph.store.base import BaseStore, Item
from typing_extensions import TypedDict

NAMESPACE: Final = ("refund_desk", "ledger")
_MOST_LINES: Final = 1000
_REFUNDS: Final = uuid.UUID("6f3a3c0e-52b8-4ad7-9c58-0c5b7b1f2c11")


class Refund(TypedDict):
    """A refund that was paid."""

    id: str
    amount: str
    currency: str


class Entry(Refund):
    """A line of the ledger."""

    order_id: str
    key: str


async def issue(
    order_id: str, amount: str, currency: str, key: str, ledger: dict[str, Entry], store: BaseStore | None
) -> Entry:
    """The ledger's line under `key`: the one that is there, or a new one.

    The id follows from the key, so that two workers that both believe they own the run write the same line. The line is
    kept in the store when there is one; the caller keeps it in its state too.
    """
    entry: Entry = {
        "id": f"re_{uuid.uuid5(_REFUNDS, key).hex[:20]}",
        "amount": amount,
        "currency": currency,
        "order_id": order_id,
        "key": key,
    }
    if key in ledger:
        return ledger[key]
    if store is None:
        return entry
    known = await store.aget(NAMESPACE, entry["id"])
    if known is not None:
        return _entry(known)
    await store.aput(NAMESPACE, entry["id"], {**entry})
    return entry


async def paid(order_id: str, ledger: dict[str, Entry], store: BaseStore | None) -> Decimal:
    """What has gone back for an order: on this thread, and on any other when there is a store."""
    lines = {entry["id"]: entry for entry in ledger.values() if entry["order_id"] == order_id}
    if store is not None:
        for item in await store.asearch(NAMESPACE, filter={"order_id": order_id}, limit=_MOST_LINES):
            lines[item.key] = _entry(item)
    return sum((Decimal(entry["amount"]) for entry in lines.values()), Decimal(0))


def _entry(item: Item) -> Entry:
    kept = item.value
    return {
        "id": kept["id"],
        "amount": kept["amount"],
        "currency": kept["currency"],
        "order_id": kept["order_id"],
        "key": kept["key"],
    }
