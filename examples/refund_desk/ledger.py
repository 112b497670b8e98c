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


async def issue_refund(
    order_id: str, amount: str, currency: str, key: str, ledger: dict[str, Entry], store: BaseStore | None
) -> Entry:
    """The line of the ledger with this key. Adds it if it does not exist.

    The id is derived from the key, so two workers that execute the same run write the same line. The line is written to
    the store, if there is one; the caller also adds it to the state.
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
    existing = await store.aget(NAMESPACE, entry["id"])
    if existing is not None:
        return _entry(existing)
    await store.aput(NAMESPACE, entry["id"], {**entry})
    return entry


async def refunded_amount(order_id: str, ledger: dict[str, Entry], store: BaseStore | None) -> Decimal:
    """The sum of all refunds of an order: on this thread and, if there is a store, on all other threads."""
    lines = {entry["id"]: entry for entry in ledger.values() if entry["order_id"] == order_id}
    if store is not None:
        for item in await store.asearch(NAMESPACE, filter={"order_id": order_id}, limit=_MAX_LINES):
            lines[item.key] = _entry(item)
    return sum((Decimal(entry["amount"]) for entry in lines.values()), Decimal(0))


def _entry(item: Item) -> Entry:
    stored = item.value
    return {
        "id": stored["id"],
        "amount": stored["amount"],
        "currency": stored["currency"],
        "order_id": stored["order_id"],
        "key": stored["key"],
    }
