"""The code of docs/recipes.md."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"


def recipe(title: str, language: str) -> str:
    """Return a recipe's first code of a language."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.search(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, f"{title}: no code of {language}"
    return found[1]
