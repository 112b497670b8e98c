"""How CI decides, and what a failed test leaves for the tests after it."""
