"""The supervisor, the embedded server and `slipway dev`."""
