"""Waiting reasons: what a run waits for, since when, and who can act."""
