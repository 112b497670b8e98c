"""Traces of runs for reading: the spans of a run and of its chain as one tree, with what records know exactly."""
