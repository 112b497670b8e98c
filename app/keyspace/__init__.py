"""The names of everything Slipway keeps in Redis, and the scripts that move it."""
