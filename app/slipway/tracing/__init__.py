"""Tracing: which runs are traced, what an attempt records about its work, and the spans that are stored with a run."""
