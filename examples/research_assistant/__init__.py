"""Answers a question from documents, with citations.

    plan ──┬─> extract (one per document, in parallel) ─┐
           └─> compare (versions of documents) ─────────┴─> rank ──> write
                      extract <── widen <── (not covered yet) ┘

No model is needed. If SLIPWAY_MODEL names one, it writes the answer from the same evidence.
"""

from examples.research_assistant.graph import graph

__all__ = ["graph"]
