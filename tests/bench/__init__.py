"""Benchmarks: one file a question, one shared server, one table at the end. `python -m tests.bench --help`."""
