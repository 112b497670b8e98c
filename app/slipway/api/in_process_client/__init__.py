"""Clients of the API inside its own process, without a network."""
