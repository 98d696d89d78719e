"""The headers that a folder of static files asks for in a file `_headers`, as Netlify and
Cloudflare Pages read it: a path, where `*` stands for anything, and indented below it the
headers of what is served there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from samwire.gateway.options import OptionError

NAME = "_headers"
_HEADER = re.compile(r"\s+([A-Za-z0-9-]+):\s*(.+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """Headers of all paths that a pattern matches."""

    pattern: re.Pattern[str]
    headers: dict[str, str]


def read_rules(folder: Path, prefix: str) -> list[Rule]:
    """Return the rules of a folder; none if it has no `_headers`.

    Args:
        prefix: under which the folder is served, with a slash at its end.

    Raises:
        OptionError: a line is neither a path nor a header.
    """
    path = folder / NAME
    rules: list[Rule] = []
    lines = path.read_text().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        header = _HEADER.fullmatch(line)
        if line.startswith("/"):
            pattern = re.escape(prefix + line.strip()[1:]).replace(r"\*", ".*")
            rules.append(Rule(re.compile(pattern), {}))
        elif header and rules:
            rules[-1].headers[header[1]] = header[2].strip()
        else:
            raise OptionError(
                f"{path}, line {number}: expected a path, such as /*, or below one an indented "
                "header, such as `  X-Content-Type-Options: nosniff`."
            )
    return rules


def headers_of(path: str, rules: list[Rule]) -> dict[str, str]:
    """Return the headers of a path; of the same header the later rule's counts."""
    found: dict[str, str] = {}
    for rule in rules:
        if rule.pattern.fullmatch(path):
            found.update(rule.headers)
    return found
