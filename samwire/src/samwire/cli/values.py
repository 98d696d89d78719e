"""The kinds of values that options take; what is wrong with one is a clause that says what may be.

Each raises `argparse.ArgumentTypeError`, which the parser turns into a sentence with the option.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a reader of integers between two that are allowed themselves."""
    allowed = f"a whole number of at least {least}"
    if most is not None:
        allowed = f"a whole number from {least} to {most}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            _refuse(allowed, text)
        if number < least or (most is not None and number > most):
            _refuse(allowed, text)
        return number

    return read


def number(*, positive: bool) -> Callable[[str], float]:
    """Return a reader of finite numbers.

    Args:
        positive: whether 0 is refused as well.
    """
    allowed = "a number above 0" if positive else "a number of at least 0"

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            _refuse(allowed, text)
        if not math.isfinite(found) or found < 0 or (positive and not found):
            _refuse(allowed, text)
        return found

    return read


def region(text: str) -> str:
    """Read the name of a region; which ones there are is not known here."""
    if not _REGION.fullmatch(text):
        _refuse("a region such as eu-central-1", text)
    return text


def static_folder(text: str) -> str:
    """Read a folder to serve, `DIR` or `/PREFIX=DIR`."""
    prefix, separator, folder = text.partition("=")
    if not (separator and prefix.startswith("/")):
        folder = text
    if not Path(folder).is_dir():
        _refuse("a folder that exists, as DIR or /PREFIX=DIR", text)
    return text


def url(text: str) -> str:
    """Read the URL of a service; an empty one means none."""
    if text and not re.match(r"https?://[^/]", text):
        _refuse("a URL that begins with http:// or https://", text)
    return text


def _refuse(allowed: str, text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"must be {allowed}, not {text!r}")
