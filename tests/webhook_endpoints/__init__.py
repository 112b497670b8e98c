"""Webhook endpoints: which events create which deliveries, and the endpoints themselves."""
