"""Pays refunds. Repeated calls with the same idempotency key pay once, and all refunds of an order together pay no more
than the order permits, whichever runs pay them at the same time.

The ledger has one item for each order. A refund is added to the item only if the item has not changed since it was
read; otherwise it is read and compared again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from langgraph.store.base import BaseStore, Item
from typing_extensions import TypedDict

import slipway.items
from examples.refund_desk.orders import format_amount

NAMESPACE: Final = ("refund_desk", "ledger")
_REFUNDS: Final = uuid.UUID("6f3a3c0e-52b8-4ad7-9c58-0c5b7b1f2c11")


class AmountTooLarge(ValueError):
    """More than what remains of the order. A reviewer may have edited the amount, or another request was paid first."""


class Refund(TypedDict):
    """A refund that was paid."""

    id: str
    amount: str
    currency: str


class Entry(Refund):
    """A line of the ledger."""

    order_id: str
    key: str


async def add_refund(
    order_id: str, amount: str, currency: str, key: str, store: BaseStore, *, at_most: Decimal
) -> Entry:
    """The line of the ledger with this key. Adds it if it does not exist. Raises `AmountTooLarge` if the refunds of the
    order would be more than `at_most` together. The id is derived from the key, so two workers that execute the same
    call add the same line."""
    entry: Entry = {
        "id": f"re_{uuid.uuid5(_REFUNDS, key).hex[:20]}",
        "amount": amount,
        "currency": currency,
        "order_id": order_id,
        "key": key,
    }
    while True:
        item = await store.aget(NAMESPACE, order_id)
        entries = _entries(item)
        if any(each["key"] == key for each in entries):
            return next(each for each in entries if each["key"] == key)
        remaining = at_most - _sum(entries)
        if Decimal(amount) > remaining:
            raise AmountTooLarge(f"at most {format_amount(remaining)} {currency} can be refunded, not {amount}")
        ledger = {"refunds": [*entries, entry]}
        if await slipway.items.aput_if_unchanged(store, NAMESPACE, order_id, ledger, was=item):
            return entry


async def refunded_amount(order_id: str, store: BaseStore | None) -> Decimal:
    """The sum of all refunds of an order, on all threads. 0 without a store."""
    return Decimal(0) if store is None else _sum(_entries(await store.aget(NAMESPACE, order_id)))


def _sum(entries: Iterable[Entry]) -> Decimal:
    return sum((Decimal(entry["amount"]) for entry in entries), Decimal(0))


def _entries(item: Item | None) -> list[Entry]:
    return [] if item is None else item.value["refunds"]
