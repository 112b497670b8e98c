"""Runs: their records, attempts and leases, and the log of what happened."""
