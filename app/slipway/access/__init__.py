"""Who the user of a request is, and which operations and records the project's auth file permits."""
