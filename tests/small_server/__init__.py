"""A Redis of 25 MB with 20 connections under bursts of runs: `python -m tests.small_server`."""
