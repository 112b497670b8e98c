"""Counts what runs use in the budgets of owners and graphs, which the runs of all threads share."""
