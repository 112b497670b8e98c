"""Serves public project templates, unmodified, with Slipway and a fake chat model, and checks their results."""
