"""Threads: their records, their states, and the runs on them."""
