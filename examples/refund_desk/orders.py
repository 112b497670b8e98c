"""The order book: the orders in the input, and a few built-in orders."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final, NotRequired

from typing_extensions import TypedDict

CENT: Final = Decimal("0.01")
MAX_AMOUNT: Final = Decimal(1_000_000)


class Order(TypedDict):
    """An order. It has `delivered_days_ago` instead of a date, so that the examples are valid on any day."""

    order_id: str
    item: str
    total: str
    currency: NotRequired[str]
    delivered_days_ago: NotRequired[int]
    refunded: NotRequired[str]
    """The refunded amount; "0.00" if nothing was refunded."""
    made_to_order: NotRequired[bool]


BOOK: Final[tuple[Order, ...]] = (
    {"order_id": "A-1001", "item": "Digital calliper", "total": "49.90", "currency": "EUR", "delivered_days_ago": 6},
    {"order_id": "A-1002", "item": "Bench multimeter", "total": "389.00", "currency": "EUR", "delivered_days_ago": 12},
    {"order_id": "A-1003", "item": "Field thermometer", "total": "129.00", "currency": "EUR", "delivered_days_ago": 45},
    {
        "order_id": "A-1004",
        "item": "Replacement probe",
        "total": "24.50",
        "currency": "EUR",
        "delivered_days_ago": 9,
        "refunded": "24.50",
    },
    {
        "order_id": "A-1005",
        "item": "Pressure gauge, calibrated to order",
        "total": "560.00",
        "currency": "EUR",
        "delivered_days_ago": 4,
        "made_to_order": True,
    },
    {
        "order_id": "A-1006",
        "item": "Two-channel oscilloscope",
        "total": "1249.00",
        "currency": "USD",
        "delivered_days_ago": 20,
        "refunded": "249.00",
    },
)


def find(order_id: str, input_orders: object = None) -> Order | None:
    """The order with this id, in upper or lower case. Orders of the input come before built-in orders."""
    folded_id = order_id.strip().casefold()
    for order in [*_parse_orders(input_orders), *BOOK]:
        if order["order_id"].casefold() == folded_id:
            return order
    return None


def _parse_orders(orders: object) -> list[Order]:
    if orders is None:
        return []
    if not isinstance(orders, list):
        raise ValueError("orders: a list of objects with order_id, item and total is expected")
    return [_parse_order(order, f"orders[{position}]") for position, order in enumerate(orders)]


def _parse_order(order: object, field: str) -> Order:
    if not isinstance(order, dict) or not isinstance(order.get("order_id"), str):
        raise ValueError(f"{field}.order_id: text is expected")
    days = order.get("delivered_days_ago", 0)
    if isinstance(days, bool) or not isinstance(days, int):
        raise ValueError(f"{field}.delivered_days_ago: a whole number of days is expected")
    return {
        "order_id": order["order_id"],
        "item": str(order.get("item", "an item")),
        "total": format_amount(parse_amount(order.get("total"), f"{field}.total")),
        "currency": str(order.get("currency", "EUR")),
        "delivered_days_ago": days,
        "refunded": format_amount(parse_amount(order.get("refunded", "0"), f"{field}.refunded", least=Decimal(0))),
        "made_to_order": bool(order.get("made_to_order", False)),
    }


def parse_amount(value: object, field: str, *, least: Decimal = CENT) -> Decimal:
    """An amount with two decimal places, from a number or text. Raises ValueError, which names the field."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"{field}: an amount such as 49.90 is expected, not {value!r}")
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{field}: an amount such as 49.90 is expected, not {str(value)[:40]!r}") from None
    if not amount.is_finite() or not least <= amount <= MAX_AMOUNT:
        raise ValueError(f"{field}: an amount from {least} to {MAX_AMOUNT} is expected, not {str(value)[:40]}")
    if amount != amount.quantize(CENT):
        raise ValueError(f"{field}: at most two decimal places are possible, not {value}")
    return amount.quantize(CENT)


def format_amount(amount: Decimal) -> str:
    """An amount as text, such as `129.90`."""
    return f"{amount.quantize(CENT):f}"
