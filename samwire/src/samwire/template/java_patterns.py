"""Patterns of parameters as CloudFormation reads them: it is written in Java.

See `java.util.regex.Pattern`. The package `regex` knows what Python's own `re` does not:
classes within classes, `&&`, and properties such as `\\p{Alpha}`. What the two write otherwise
is rewritten here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

MAX_MATCH_S = 1.0
"""A pattern that needs longer for a value is not checked: backtracking may take for ever."""

_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|\\x\{(?P<code>[0-9A-Fa-f]+)\}"
    r"|\\0(?P<octal>[0-3]?[0-7]{1,2})"
    r"|\\k<(?P<group>[A-Za-z0-9]+)>"
    r"|\\p\{java(?P<java>[A-Za-z]+)\}"
    r"|(?P<escaped>\\.)"
    r"|(?P<twice>--|\|\||~~)"
    r"|(?P<open>\[\^?\]?)|(?P<close>\])"
    r"|(?P<other>.)",
    re.DOTALL,
)
_ESCAPES = {r"\Z": r"(?=\n?\Z)", r"\z": r"\Z", r"\e": r"\x1b"}
_JAVA_CLASSES = {
    "LowerCase": r"\p{Ll}",
    "UpperCase": r"\p{Lu}",
    "Letter": r"\p{L}",
    "Digit": r"\p{Nd}",
    "LetterOrDigit": r"[\p{L}\p{Nd}]",
    "Alphabetic": r"\p{Alphabetic}",
    "Whitespace": r"\s",
}


class NotChecked(Exception):
    """A pattern that only Java takes, or that takes too long; says which of the two."""


def matches(pattern: str, value: str) -> bool:
    """Return whether all of a value is what a Java pattern describes.

    Raises:
        NotChecked: it cannot be said.
    """
    try:
        compiled = regex.compile("".join(_rewritten(pattern)), regex.V1)
        return bool(compiled.fullmatch(value, timeout=MAX_MATCH_S))
    except (regex.error, ValueError, KeyError, OverflowError) as error:
        raise NotChecked(f"it is not understood here ({error})") from None
    except TimeoutError:
        raise NotChecked(f"it takes more than {MAX_MATCH_S:.0f} s") from None
    except RecursionError:
        raise NotChecked("it is nested too deeply") from None


def _rewritten(pattern: str) -> Iterator[str]:
    depth = 0
    for token in _TOKEN.finditer(pattern):
        if token["quoted"] is not None:
            yield regex.escape(token["quoted"])
        elif token["code"] is not None:
            yield rf"\U{int(token['code'], 16):08x}"
        elif token["octal"] is not None:
            yield rf"\x{int(token['octal'], 8):02x}"
        elif token["group"] is not None:
            yield f"(?P={token['group']})"
        elif token["java"] is not None:
            yield _JAVA_CLASSES[token["java"]]
        elif token["escaped"] is not None:
            yield token["escaped"] if depth else _ESCAPES.get(token["escaped"], token["escaped"])
        elif token["twice"] is not None:
            # An operator on sets to `regex`, twice the same character to Java.
            text = token["twice"]
            yield f"{text[0]}\\{text[1]}" if depth else text
        else:
            depth += bool(token["open"]) - bool(token["close"] and depth)
            yield token[0]
