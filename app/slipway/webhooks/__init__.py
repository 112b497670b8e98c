"""Webhooks: requests that are sent when a run ends."""
