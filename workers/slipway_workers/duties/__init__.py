"""Timed duties: each is one module, and one worker at a time performs it."""
