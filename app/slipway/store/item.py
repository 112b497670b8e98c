"""The items of the store as they are named and read: a JSON object under a namespace and a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from langgraph.store.base import Item

from slipway.clock import microseconds_of
from slipway.serialization.at_rest import opened_json
from slipway.serialization.places import item_place

_Item = TypeVar("_Item", bound=Item)


class ItemKey(NamedTuple):
    """The name of an item. The labels of the namespace are joined by dots, which no label contains."""

    namespace: str
    key: str


def dotted(namespace: Sequence[str]) -> str:
    return ".".join(namespace)


def by_namespace(item_keys: Iterable[ItemKey]) -> dict[str, list[str]]:
    """The keys of each namespace, in their order."""
    keys: dict[str, list[str]] = {}
    for namespace, key in item_keys:
        keys.setdefault(namespace, []).append(key)
    return keys


def item_from(item_class: type[_Item], item_key: ItemKey, stored: bytes) -> _Item:
    """The item of `created|updated|expires|ttl|value`: times in µs since the epoch, the value in its stored
    form."""
    created_us, updated_us, _, _, value = stored.split(b"|", 4)
    return item_class(
        value=opened_json(value, item_place(item_key.namespace, item_key.key)),
        key=item_key.key,
        namespace=tuple(item_key.namespace.split(".")),
        created_at=_time(created_us),
        updated_at=_time(updated_us),
    )


def version_of(item: Item | None) -> str:
    """Names an item as it was read: `created|updated` in µs. Empty for an item that did not exist."""
    return "" if item is None else f"{microseconds_of(item.created_at)}|{microseconds_of(item.updated_at)}"


def _time(us: bytes) -> datetime:
    return datetime.fromtimestamp(int(us) / 1_000_000, UTC)
