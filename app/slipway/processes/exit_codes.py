"""What a process of ours says by its exit code when it could not start."""

from __future__ import annotations

from typing import Final

CONFIG: Final = 2
"""Settings, langgraph.json or the files it names cannot work: starting again will not help."""

UNAVAILABLE: Final = 75
"""Redis went away while starting: starting again may help (EX_TEMPFAIL)."""
