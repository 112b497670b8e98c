"""Who the user of a request is, and which records the project's auth file permits that user to read and change."""
