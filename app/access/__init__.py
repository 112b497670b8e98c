"""Who calls, and which records they may touch."""
