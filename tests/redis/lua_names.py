"""Lists the names that a Lua file defines and uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from slipway.redis.script_source import code_of, directives_of

LUA: Final = Path(__file__).parents[2] / "app" / "slipway" / "redis" / "lua"
SCRIPTS: Final = {path.stem: path.read_text() for path in sorted(LUA.glob("*.lua"))}
LIBRARIES: Final = {path.stem: path.read_text() for path in sorted((LUA / "lib").glob("*.lua"))}

_TEXT: Final = re.compile(r"'[^'\n]*'")
_NAME: Final = re.compile(r"(?<![\w.:])[A-Za-z_]\w*")
_INTRODUCED: Final = re.compile(
    r"\bfunction ([\w.]*)\(([\w, ]*)\)|\blocal (?!function)([\w, ]+)|\bfor ([\w, ]+?) (?:in|=)"
)
_ASSIGNED: Final = re.compile(r"(?<![\w.])\w+ = ")
_BUILT_IN: Final = frozenset(
    _NAME.findall(
        "and break do else elseif end false for function if in local nil not or repeat return then true until while "
        "cjson cmsgpack ipairs math next pairs pcall redis string struct table tonumber tostring type unpack "
        "ARGV KEYS TEMPLATES"
    )
)
_DEFINITION: Final = re.compile(r"^local (?:function (\w+)|([\w, ]+?) =)", re.MULTILINE)


def definitions(text: str) -> set[str]:
    """The local names that a file defines outside its functions."""
    matches = _DEFINITION.findall(code_of(text))
    return {name.strip() for function, variables in matches for name in (function or variables).split(",")}


def names(text: str) -> set[str]:
    """All names in the code of a file except members of tables."""
    return set(names_in_order(text))


def names_in_order(text: str) -> list[str]:
    """The same names as often as they occur, with the words of Lua between them."""
    code = re.sub(r"\s--\s.*$", "", code_of(text), flags=re.MULTILINE)
    return _NAME.findall(_TEXT.sub("''", code))


def unknown_names(text: str, libraries: dict[str, str]) -> set[str]:
    """Names that neither the file nor a library that it declares defines. Redis aborts a script that reads one."""
    code = _TEXT.sub("''", code_of(text))
    matches = _INTRODUCED.findall(code)
    local = {name.strip() for groups in matches for group in groups for name in group.split(",")}
    declared = directives_of(text).get("needs", [])
    provided = {name for library in declared for name in definitions(libraries[library])}
    return names(_ASSIGNED.sub("", text)) - local - provided - _BUILT_IN


def problems(file: str, text: str, libraries: dict[str, str]) -> list[str]:
    """One sentence for each wrong declaration of a file: a library that does not exist, an unused library, a used
    library that is not declared, and a name that a library defines too."""
    declared = set(directives_of(text).get("needs", []))
    sentences = [f"{file} declares {name}, which does not exist" for name in sorted(declared - libraries.keys())]
    own, used = definitions(text), names(text)
    for library, source in libraries.items():
        if library == file:
            continue
        provided = definitions(source)
        sentences += [f"{file} defines {name} as {library} does" for name in sorted(own & provided)]
        if library in declared and not used & provided:
            sentences.append(f"{file} declares {library} and does not use it")
        if library not in declared and (undeclared := used & provided - own):
            sentences.append(f"{file} uses {', '.join(sorted(undeclared))} and does not declare {library}")
    return sentences
