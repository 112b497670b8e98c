"""The secrets that this process knows: those of settings, of tools, and of environment variables that are named as
secrets. Their exact values are replaced wherever they would leave the process.

A value may be written in other forms: escaped in JSON, or encoded in a URL. All of its forms are known.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST: Final = 12
"""Characters. A shorter value is probably a word, which occurs elsewhere too."""

_SECRET_NAME: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)S?$")
"""How the name of an environment variable ends that has a secret."""
_ADDRESS_NAME: Final = re.compile(r"(URL|URI|DSN|ENDPOINT)$")
"""How the name of an environment variable ends that has an address, which may have a password."""
_HEADERS_NAME: Final = re.compile(r"^OTEL_EXPORTER_OTLP_(TRACES_|METRICS_|LOGS_)?HEADERS$")
"""The variables of OpenTelemetry with headers of requests, which have the key of whoever receives them."""
_SHORTEST_IN_ENVIRONMENT: Final = 16
"""Characters. Only the name of a variable says that its value is a secret, so the value must look like one."""


class KnownSecrets:
    """Values by name, in all of their forms. Names are shown instead of the values."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.texts: tuple[tuple[str, str], ...] = ()
        """The forms of all values with what is shown instead; a form that contains another one comes first."""
        self.encoded: tuple[tuple[bytes, bytes], ...] = ()
        """The same as UTF-8."""

    def remember(self, name: str, value: str) -> None:
        """Values with fewer than `SHORTEST` characters are not remembered."""
        self._add({value.strip(): name})

    def remember_address(self, name: str, address: str) -> None:
        """Remembers the password in a URL, if it has one."""
        if password := _password_in(address):
            self.remember(name, password)

    def remember_environment(self, environment: Mapping[str, str]) -> None:
        """Remembers the values of variables that are named as secrets, and the passwords of addresses."""
        self._add(dict(reversed(list(_secrets_in(environment)))))  # the first variable names a value

    def _add(self, names: Mapping[str, str]) -> None:
        new = {
            form: name
            for value, name in names.items()
            if len(value) >= SHORTEST
            for form in _forms_of(value)
            if self._names.get(form) != name
        }
        if not new:
            return
        self._names |= new
        ordered = sorted(self._names.items(), key=lambda pair: -len(pair[0]))
        self.texts = tuple((form, f"[{name}]") for form, name in ordered)
        self.encoded = tuple((form.encode("utf-8", "replace"), shown.encode()) for form, shown in self.texts)


KNOWN: Final = KnownSecrets()
"""The secrets of this process. It is one object for the whole process, because texts are written everywhere: in the
handlers of exceptions, and by libraries."""


def _secrets_in(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in list(environment):
        if _SECRET_NAME.search(name.upper()):
            value = environment.get(name, "").strip()
            if len(value) >= _SHORTEST_IN_ENVIRONMENT:
                yield value, name
        elif _ADDRESS_NAME.search(name.upper()) and (password := _password_in(environment.get(name, ""))):
            yield password, name
        elif _HEADERS_NAME.search(name.upper()):
            for value in _header_values(environment.get(name, "")):
                yield value, name


def _header_values(headers: str) -> Iterator[str]:
    """The values in `name=value,name=value`, and each without the scheme before it, such as `Bearer`."""
    for header in headers.split(","):
        value = unquote(header.partition("=")[2]).strip()
        yield value
        yield value.rpartition(" ")[2]


def _password_in(address: str) -> str:
    """The password in a URL, as it is written there; empty if it has none."""
    try:
        return urlsplit(address.strip()).password or ""
    except ValueError:
        return ""


def _forms_of(value: str) -> Iterator[str]:
    """How a value may be written: as it is, decoded from a URL, in JSON, in HTML, in JSON of a page, and in a URL."""
    for plain in dict.fromkeys((value, unquote(value))):
        yield plain
        yield json.dumps(plain)[1:-1]
        yield from (in_json := json.dumps(plain, ensure_ascii=False)[1:-1], html.escape(plain), html.escape(in_json))
        yield in_json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        yield quote(plain, safe="")
        yield quote_plus(plain)


def remember_environment() -> None:
    """Remembers the secrets in the environment of this process as it is now."""
    KNOWN.remember_environment(os.environ)
