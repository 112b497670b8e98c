"""Items of the long-term store, in the project's code: replaces an item only if nobody else has changed it, so that of
several nodes which have read it at the same time one changes it and the others read it again.

    import slipway.items

    item = await runtime.store.aget(("stock",), "lamp")
    if await slipway.items.aput_if_unchanged(runtime.store, ("stock",), "lamp", {"left": 3}, was=item):
        ...
"""

from __future__ import annotations

from typing import Any

from langgraph.store.base import BaseStore, Item, PutOp

from slipway.store.store import RedisStore

__all__ = ["aput_if_unchanged"]


async def aput_if_unchanged(
    store: BaseStore, namespace: tuple[str, ...], key: str, value: dict[str, Any], *, was: Item | None
) -> bool:
    """Puts an item if it is still the one that `store.aget` has returned (`was`; None if it did not exist). Otherwise
    returns False: read the item again. After a lost connection the result can be False although the item was put, so
    look for your own change first. Raises `TypeError` for a store of another server."""
    if not isinstance(store, RedisStore):
        raise TypeError(f"{type(store).__name__} is not Slipway's store, which runs on Slipway find in `runtime.store`")
    return await store.put_if_unchanged(PutOp(namespace, key, value), was)
