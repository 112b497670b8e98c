"""Checkpoints: the two checkpointers, and moving threads between them."""
