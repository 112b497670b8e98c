"""Model routes: chat models that are tried in order. `slipway.models` is what the project's code uses."""
