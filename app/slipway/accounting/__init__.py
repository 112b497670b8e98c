"""The ceilings of a chain of runs: their limits, what the chain has used, and counting before a limit is passed."""
