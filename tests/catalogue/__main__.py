"""`python -m tests.catalogue` writes docs/keys.md."""

from __future__ import annotations

from tests.catalogue.page import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page())
