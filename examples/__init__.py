"""Example graphs: each is useful as it is and runs without a key."""
