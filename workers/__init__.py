"""The processes that execute graphs."""
