"""The source of the random ids of traces and spans."""

from __future__ import annotations

import os
import random
from typing import Final

IDS: Final = random.Random()
"""A generator of its own: the project's code may seed that of the module `random`, and then two processes would make
the same ids. Not for secrets."""

os.register_at_fork(after_in_child=IDS.seed)
