"""The go-live checklist of `slipway doctor`."""
