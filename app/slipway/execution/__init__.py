"""Executes one attempt at a run: input, stream, frames, ceilings, outcome."""
