"""Benchmarks: one module each, one shared server, one table of all figures. `python -m tests.bench --help`."""
