"""Webhook endpoints: which events are sent to which URLs, and the keys that sign them."""
