"""Short questions with short answers: sums, units, dates, and what the library says. No model, no waiting."""

from examples.quick_answer.graph import graph

__all__ = ["graph"]
