"""`python -m app` is `slipway`: the commands from a checkout, where nothing has installed the console script."""

from __future__ import annotations

from app.cli import main

if __name__ == "__main__":
    main()
