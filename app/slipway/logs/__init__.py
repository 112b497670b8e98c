"""The log: lines with the fields of the work, as JSON or for a terminal, bounded and without secrets."""
