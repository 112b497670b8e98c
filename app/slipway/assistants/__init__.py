"""Assistants: graphs with stored config and context, in versions."""
