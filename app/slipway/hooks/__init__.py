"""Hooks: incoming webhooks, whose signed deliveries start or resume runs."""
