"""The table of telemetry: every event, metric and span that Slipway knows, with what each says and its units."""
