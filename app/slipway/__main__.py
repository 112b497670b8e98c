"""`python -m slipway` is `slipway`: the commands from a checkout, where nothing has installed the console script."""

from __future__ import annotations

from slipway.cli import main

if __name__ == "__main__":
    main()
