"""Public project templates, started as they are on Slipway with a fake chat model, and talked to."""
