"""Sample graphs: each is useful as it is, and runs without an API key."""
