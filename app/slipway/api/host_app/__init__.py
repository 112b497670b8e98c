"""The host app: the project's own Starlette or FastAPI application, which contains Slipway's routes."""
