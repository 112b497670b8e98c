"""Metering: counts the calls of models and tools that a run makes, before they are made, and the budgets of owners."""
