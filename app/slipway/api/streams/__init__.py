"""Responses that stay open: server-sent events, WebSockets, and JSON that waits for a run."""
