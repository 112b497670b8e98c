"""Every key, channel and hash field that Slipway stores in Redis, as typed declarations; docs/keys.md shows them."""
