"""Metrics: what processes measure, its publication to Redis, and the figures of the whole deployment."""
