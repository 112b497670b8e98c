"""The go-live checklist of `slipway doctor`: what a deployment needs before people depend on it."""
