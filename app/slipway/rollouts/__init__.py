"""Rollouts: which share of the new threads of a graph gets a new version, and when that version is rolled back."""
