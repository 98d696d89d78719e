"""What the readers of a template's parts ask of the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Resources = dict[str, dict[str, Any]]
"""Resolved properties by logical id."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One template, its intrinsic functions resolved.

    Attributes:
        of: resolved properties of all resources of a type.
        ref: what `Ref` of a resource gives.
        name: the physical name of a resource.
        domain_names: host and port of each API, by logical id.
        notice: takes a sentence about what is not served.
    """

    of: Callable[[str], Resources]
    ref: Callable[[str], Any]
    name: Callable[[str], str]
    domain_names: Mapping[str, str]
    notice: Callable[[str], None]
