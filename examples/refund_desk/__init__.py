"""Refunds: look up the order, decide by policy, ask a person above a limit, pay once.

    find_order ──> decide ──> review (a person, only above the limit) ──> issue ──> explain
                   └──────────────── refused ──────────────────────────────────────┘

Money is `Decimal` in calculations and text such as "129.90" wherever it is kept.
"""

from examples.refund_desk.graph import graph

__all__ = ["graph"]
