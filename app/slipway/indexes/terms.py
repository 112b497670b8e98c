"""Index terms: a term says that a record has one value for one member.

A term is a text of 20 characters: 8 are the digest of the member's name, 12 that of its kind and value. An index has
one sorted set of records for each term. Writers, searches and the rebuild of an index all compute terms here; scripts
only receive them: a packed text is the concatenation of terms.

Equal values have the same term, by the rules of `json_comparison`: 1 equals 1.0, and `true` equals neither. What has no
term of its own has a wider one, so that a search by terms never misses a record:

    an object                   the member is an object
    a list                      that it is a list; each of its texts, numbers, truth values and nulls; and that it has
                                other elements
    a list of many elements     any value of the member
    metadata with many terms    any value of any member but `owner`, and the terms of that member
    values with many terms      any value of any member

With an encryption key, the terms of a thread's values are keyed digests (`serialization/at_rest.py`): who can read
Redis can neither read a value in its term nor check a guess.

By convention the access filters of a server with several tenants name `owner`. So the threads of one tenant, however
many members their metadata have, do not make the searches of another one slower or incomplete.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import orjson
from pydantic import BaseModel

from slipway.serialization.at_rest import has_plain_digests, keyed_digest
from slipway.serialization.json_encoding import dumps

TERM_LENGTH: Final = 20
MEMBER_LENGTH: Final = 8
"""The characters of a term that are the digest of its member. Terms of one member begin with the same characters."""

MAX_TERMS: Final = 64
"""The most terms of the metadata of one record, and of one list."""

MAX_VALUE_TERMS: Final = 16
"""The most terms of the values of one thread."""

MAX_VALUE_BYTES: Final = 128
"""The longest text in the values of a thread that has a term."""

OWNER: Final = "owner"
"""The member of metadata that keeps its own terms, however many terms the others have."""

MANY_MEMBERS: Final = "m".ljust(TERM_LENGTH, "+")
"""The first term of metadata that have too many: any value of any member but `OWNER`."""

_CACHED_JSON: Final = 256
"""The longest JSON text whose terms are cached."""

_CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque, BaseModel)
"""Types whose values are no scalars in JSON: encoding them to learn that would take long."""

_VALUE_DIGEST_BYTES: Final = (TERM_LENGTH - MEMBER_LENGTH) * 3 // 4

_ANY_VALUE: Final = "*" * (TERM_LENGTH - MEMBER_LENGTH)


class Space(StrEnum):
    """To which object of a record a member belongs."""

    METADATA = "m"
    VALUES = "v"
    RECORD = "r"
    """Fields of the record itself, such as the graph of a run."""

    @property
    def any_term(self) -> str:
        """Any value of any member: the term of values that have too many, and of metadata whose terms are not known."""
        return self.value.ljust(TERM_LENGTH, "*")


@lru_cache(maxsize=4096)
def member_digest(space: Space, name: str) -> str:
    """The first characters of every term of a member."""
    return _digest(f"{space}{name}", MEMBER_LENGTH)


def any_value_term(space: Space, name: str) -> str:
    """The term of records whose value of the member has too many terms."""
    return member_digest(space, name) + _ANY_VALUE


def scalar_term(space: Space, name: str, value: Any) -> str | None:
    """The term of records whose member equals a text, a number, a truth value or null. None for any other value."""
    text = _scalar_text(value)
    return None if text is None else _term(space, name, f"={text}")


def value_terms_for_search(name: str, value: Any) -> tuple[str, ...]:
    """The terms of threads whose values have a member that equals this text, number, truth value or null: with an
    encryption key a keyed digest, and until all stored terms are keyed also the digest without a key."""
    text = _scalar_text(value)
    if text is None:
        return ()
    plain = (_plain_term(Space.VALUES, name, f"={text}"),) if has_plain_digests() else ()
    return tuple(dict.fromkeys((_term(Space.VALUES, name, f"={text}"), *plain)))


def element_term(space: Space, name: str, value: Any) -> str | None:
    """The term of records whose member is a list with this element."""
    text = _scalar_text(value)
    return None if text is None else _term(space, name, f"[{text}")


def list_term(space: Space, name: str) -> str:
    """The term of records whose member is a list."""
    return _term(space, name, "[")


def nested_elements_term(space: Space, name: str) -> str:
    """The term of records whose member is a list that has objects or lists."""
    return _term(space, name, "[]")


def object_term(space: Space, name: str) -> str:
    """The term of records whose member is an object."""
    return _term(space, name, "{}")


def metadata_terms(members: Mapping[str, str | bytes]) -> str:
    """The packed terms of metadata, whose values are JSON texts."""
    terms = ""
    for name, text in members.items():
        terms += _json_terms(name, text)
        if len(terms) > MAX_TERMS * TERM_LENGTH:
            return MANY_MEMBERS + (_json_terms(OWNER, members[OWNER]) if OWNER in members else "")
    return terms


def metadata_digests(names: Collection[str], terms: str = "") -> str:
    """The digests of metadata members, concatenated: what a script replaces when the members change to those with these
    packed terms. If there are too many, it replaces all others but that of `OWNER`, and one digest is enough."""
    if terms.startswith(MANY_MEMBERS):
        names = [OWNER] if OWNER in names else list(islice(names, 1))
    return "".join([member_digest(Space.METADATA, name) for name in names])


def value_terms(values: Any, text: str | bytes) -> str:
    """The packed terms of the values of a thread: only short texts, numbers, truth values and nulls have one. `text`
    are the values as JSON, which are parsed only if they are no dict."""
    members = values if type(values) is dict else orjson.loads(text)
    terms = []
    for name, value in members.items() if isinstance(members, dict) else ():
        if isinstance(value, _CONTAINERS) or not has_value_term(value):
            continue
        plain = value if _is_plain(value) else orjson.loads(dumps(value))  # times, numbers and texts as stored
        if has_value_term(plain) and (term := scalar_term(Space.VALUES, name, plain)) is not None:
            terms.append(term)
            if len(terms) > MAX_VALUE_TERMS:
                return Space.VALUES.any_term
    return "".join(terms)


def _is_plain(value: Any) -> bool:
    """Whether JSON certainly expresses the value as it is, and a reader gets the same value."""
    if type(value) is str:
        return value.isascii() and "\0" not in value
    return value is None or type(value) is bool or (type(value) is int and -(2**63) <= value < 2**63)


def has_value_term(value: Any) -> bool:
    """Whether a value of a thread has a term, if it is a scalar: texts can be too long."""
    if not isinstance(value, str):
        return True
    return len(value) <= MAX_VALUE_BYTES and (str.isascii(value) or len(_encoded(value)) <= MAX_VALUE_BYTES)


def unpacked(terms: str) -> list[str]:
    """The terms in a packed text."""
    return [terms[first : first + TERM_LENGTH] for first in range(0, len(terms), TERM_LENGTH)]


def _json_terms(name: str, text: str | bytes) -> str:
    return _cached_json_terms(name, text) if len(text) <= _CACHED_JSON else _terms_of_json(name, text)


def _terms_of_json(name: str, text: str | bytes) -> str:
    terms: dict[str, None] = {}  # in order, each once
    for term in _value_terms(Space.METADATA, name, orjson.loads(text)):
        terms[term] = None
        if len(terms) > MAX_TERMS:
            return any_value_term(Space.METADATA, name)
    return "".join(terms)


_cached_json_terms = lru_cache(maxsize=4096)(_terms_of_json)


def _value_terms(space: Space, name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield object_term(space, name)
    elif isinstance(value, list):
        yield list_term(space, name)
        for element in value:
            yield element_term(space, name, element) or nested_elements_term(space, name)
    elif (term := scalar_term(space, name, value)) is not None:
        yield term


def _term(space: Space, name: str, text: str) -> str:
    keyed = keyed_digest(_encoded(f"{name}\0{text}")) if space is Space.VALUES else None
    if keyed is None:
        return _plain_term(space, name, text)
    return member_digest(space, name) + urlsafe_b64encode(keyed[:_VALUE_DIGEST_BYTES]).decode()


def _plain_term(space: Space, name: str, text: str) -> str:
    return member_digest(space, name) + _digest(text, TERM_LENGTH - MEMBER_LENGTH)


def _scalar_text(value: Any) -> str | None:
    """The same text for all equal values, also of subclasses; None for what is no scalar of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + str.__str__(value)
        case int():
            return int.__repr__(value)
        case float():
            return str(int(value)) if value.is_integer() else float.__repr__(value)
        case _:
            return None


def _digest(text: str, length: int) -> str:
    digest = hashlib.sha1(_encoded(text), usedforsecurity=False).digest()
    return urlsafe_b64encode(digest[: length * 3 // 4]).decode()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
