"""Checkpoints: the two checkpointers, what the server asks of them, and moving threads between them."""
