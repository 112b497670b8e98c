"""Telemetry: what traces, metrics and log lines are made of, without Redis."""
