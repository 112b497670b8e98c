"""The project's own ASGI application, which surrounds the API."""
