"""Crons: runs that are created at scheduled times."""
