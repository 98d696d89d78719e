"""Tables, and the sections of a hand-written page that are generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

BEGIN = "<!-- generated: {name} -->"
END = "<!-- end of generated -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; the cells may hold `|`."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def fill_sections(page: str, sections: Mapping[str, str]) -> str:
    """Put each section between its markers.

    Raises:
        ValueError: the page has no such markers, or markers of another section.
    """
    missing = dict(sections)

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in missing:
            raise ValueError(f"The section {name!r} is unknown, or there twice.")
        return f"{BEGIN.format(name=name)}\n{missing.pop(name)}\n{END}"

    pattern = BEGIN.format(name="(?P<name>[^>]+)") + f".*?{END}"
    filled = re.sub(pattern, fill, page, flags=re.DOTALL)
    if missing:
        raise ValueError(f"There are no markers for {', '.join(missing)}.")
    return filled


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
