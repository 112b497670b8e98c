"""Threads: their records, their state, and what happens in them."""
