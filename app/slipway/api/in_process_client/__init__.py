"""Clients of the API in its own process, which need no network."""
