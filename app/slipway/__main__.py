"""`python -m slipway` does the same as `slipway`, for a checkout in which the console script is not installed."""

from __future__ import annotations

from slipway.cli import main

if __name__ == "__main__":
    main()
