"""Duties: the base classes of work that a process repeats at an interval."""
