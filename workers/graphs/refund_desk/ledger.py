"""The write tool: pays a refund once, however often it is called with the same key."""

from __future__ import annotations

import asyncio
import uuid
from typing import Final, TypedDict

from langgraph.store.base import BaseStore

NAMESPACE: Final = ("refund_desk", "ledger")
_REFUNDS: Final = uuid.UUID("6f3a3c0e-52b8-4ad7-9c58-0c5b7b1f2c11")
_ONE_AT_A_TIME: Final = asyncio.Lock()


class Refund(TypedDict):
    """Money that went back."""

    id: str
    amount: str
    currency: str


class Entry(Refund):
    """A line of the ledger."""

    order_id: str
    key: str


async def issue(order_id: str, amount: str, currency: str, key: str, ledger: dict[str, Entry], store: BaseStore | None) -> Entry:
    """The ledger's line under `key`: the one that is there, or a new one.

    The id follows from the key, so that two workers that both believe they own the run write the same line. The line is kept in
    the store when there is one; the caller keeps it in its state too.
    """
    entry: Entry = {
        "id": f"re_{uuid.uuid5(_REFUNDS, key).hex[:20]}", "amount": amount, "currency": currency, "order_id": order_id, "key": key,
    }  # fmt: skip
    if key in ledger:
        return ledger[key]
    if store is None:
        return entry
    name = entry["id"]
    async with _ONE_AT_A_TIME:
        known = await store.aget(NAMESPACE, name)
        if known is None:
            await store.aput(NAMESPACE, name, {**entry})
            return entry
    kept = known.value
    return {
        "id": kept["id"], "amount": kept["amount"], "currency": kept["currency"], "order_id": kept["order_id"], "key": kept["key"],
    }  # fmt: skip
