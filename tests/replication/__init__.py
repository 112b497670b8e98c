"""Replicated runs: a primary with a replica, which takes its place."""
