"""Refunds: finds the order, applies the policy, and pays exactly once; above a limit only when a person agrees.

    find_order ──> decide ──> issue_refund (the tool of the same name) ──> explain
                   └────────────────────── refused ─────────────────────────────┘

The section `slipway` of langgraph.json grants the tool to the node `issue_refund` only, and says who must approve it.
Amounts are `Decimal` in calculations, and text such as "129.90" in the state and the ledger.
"""

from examples.refund_desk.graph import graph

__all__ = ["graph"]
