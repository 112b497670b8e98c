"""Identifies the user of a request, and checks permissions before a route handler runs."""
