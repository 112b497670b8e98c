"""The HTTP API, its streams and its pages: the only package that imports Starlette."""
