"""How credentials look: keys of well-known services, bearer tokens, passwords in addresses, private keys. They are
replaced in texts of logs and errors, whoever they belong to.

Data of graphs is not searched for them: it may have a text that only looks like one. `slipway.redaction` of
langgraph.json names what is replaced there (`rules`).
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"

_BEGINS: Final = r"""
    (?: \b
    | (?<= \\[bfnrt] )                  # behind a line break or a tab that JSON or a line for people escapes
    | (?<= \\x[0-9a-f]{2} )
    | (?<= \\u[0-9a-f]{4} )
    )
"""
_CREDENTIALS: Final = re.compile(
    _BEGINS
    + r"""
    (?: slipway_ [A-Za-z0-9_-]{24,}                           # keys of Slipway
    | wh(?:sec|sk)_ [A-Za-z0-9+/_-]{24,} =*                   # webhook keys, by Standard Webhooks
    | (?: sk | rk | pk )[-_] [A-Za-z0-9_-]{20,}               # keys of model providers and of Stripe
    | gh[opsur]_ [A-Za-z0-9]{30,} | github_pat_ [A-Za-z0-9_]{22,}
    | xox[abeprs]- [A-Za-z0-9-]{10,}
    | A(?:KIA|SIA) [0-9A-Z]{16} \b
    | AIza [0-9A-Za-z_-]{35}
    | eyJ [A-Za-z0-9_-]{8,} \. eyJ [A-Za-z0-9_-]{8,} \. [A-Za-z0-9_-]{8,}   # JSON web tokens
    )
    | (?<= [Bb]earer\ ) [A-Za-z0-9._~+/-]{16,} =*
    | (?<= :// ) (?P<user> [^\s/:@"']{0,64} ) : [^\s/@"']{1,256} (?= @ )       # user and password of an address
    | -----BEGIN\ [A-Z\ ]{0,32} PRIVATE\ KEY----- [^-]{0,16384} (?: -----END\ [A-Z\ ]{0,32} PRIVATE\ KEY----- )?
    """,
    re.VERBOSE,
)


_MARKS: Final = (
    *("slipway_", "whsec_", "whsk_", "sk-", "sk_", "rk-", "rk_", "pk-", "pk_", "gho_", "ghp_", "ghs_", "ghu_", "ghr_"),
    *("github_pat_", "xox", "AKIA", "ASIA", "AIza", "eyJ", "earer ", "://", "-----BEGIN "),
)
"""A text with a credential has one of these. To look for them is faster than to match the patterns."""


def without_credentials(text: str) -> str:
    """The text with `[redacted]` instead of what looks like a credential. The user of an address remains."""
    return _CREDENTIALS.sub(_shown, text) if may_have_credentials(text) else text


def may_have_credentials(text: str) -> bool:
    """False: nothing in the text looks like a credential."""
    for mark in _MARKS:  # noqa: SIM110  takes a third of the time of `any`, and many texts are searched
        if mark in text:
            return True
    return False


def _shown(match: re.Match[str]) -> str:
    user = match["user"]
    return REDACTED if user is None else f"{user}:{REDACTED}"
