"""Pays refunds. Repeated calls with the same idempotency key pay once."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Final

from langgraph.store.base import BaseStore, Item
from typing_extensions import TypedDict

NAMESPACE: Final = ("refund_desk", "ledger")
_MAX_LINES: Final = 1000
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


async def add_refund(order_id: str, amount: str, currency: str, key: str, store: BaseStore) -> Entry:
    """The line of the ledger with this key. Adds it if it does not exist. The id is derived from the key, so two
    workers that execute the same call write the same line."""
    entry: Entry = {
        "id": f"re_{uuid.uuid5(_REFUNDS, key).hex[:20]}",
        "amount": amount,
        "currency": currency,
        "order_id": order_id,
        "key": key,
    }
    existing = await store.aget(NAMESPACE, entry["id"])
    if existing is not None:
        return _entry(existing)
    await store.aput(NAMESPACE, entry["id"], {**entry})
    return entry


async def refunded_amount(order_id: str, store: BaseStore | None, *, but: str | None = None) -> Decimal:
    """The sum of all refunds of an order, on all threads, except the one with the key `but`. 0 without a store."""
    if store is None:
        return Decimal(0)
    lines = await store.asearch(NAMESPACE, filter={"order_id": order_id}, limit=_MAX_LINES)
    entries = [_entry(line) for line in lines]
    return sum((Decimal(entry["amount"]) for entry in entries if entry["key"] != but), Decimal(0))


def _entry(item: Item) -> Entry:
    stored = item.value
    return {
        "id": stored["id"],
        "amount": stored["amount"],
        "currency": stored["currency"],
        "order_id": stored["order_id"],
        "key": stored["key"],
    }
