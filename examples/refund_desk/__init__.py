"""Refunds: finds the order, applies the policy, interrupts for a person above a limit, and pays exactly once.

    find_order ──> decide ──> review (a person, only above the limit) ──> issue ──> explain
                   └──────────────── refused ──────────────────────────────────────┘

Amounts are `Decimal` in calculations, and text such as "129.90" in the state and the ledger.
"""

from examples.refund_desk.graph import graph

__all__ = ["graph"]
