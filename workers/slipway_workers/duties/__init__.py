"""Duties: work that workers repeat at an interval. Each duty is one file of the same shape."""
