"""Answers short questions in milliseconds and without a model: arithmetic, units, dates, and the library.

calculate ──> (answered: end) ──> search_library
"""

from examples.quick_answer.graph import graph

__all__ = ["graph"]
