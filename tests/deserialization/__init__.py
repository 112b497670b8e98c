"""Stored and received values that describe code: nothing of them is imported, constructed or called."""
