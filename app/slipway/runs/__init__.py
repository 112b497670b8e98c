"""Runs: their records, attempts, leases and event logs."""
