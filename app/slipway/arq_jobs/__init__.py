"""The project's own arq application: its settings, and its connections to Redis."""
