"""The HTTP face of Slipway: the only package that knows Starlette."""
