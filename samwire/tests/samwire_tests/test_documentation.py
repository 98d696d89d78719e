"""README and guide: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from samwire.__main__ import main

PROJECT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/conformance.md")
MAX_PICTURE_BYTES = 200_000


@pytest.mark.parametrize("command", ["start", "validate"])
def test_every_option_is_in_the_guide(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
    guide = (PROJECT / "docs/guide.md").read_text()
    assert "--parameter-overrides" in options
    missing = {name for name in options if not re.search(rf"`{name}(?![\w-])", guide)}
    assert missing == {"-h", "--help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_something(page: str) -> None:
    text = (PROJECT / page).read_text()
    missing = []
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https:"):
            continue
        path, _, anchor = target.partition("#")
        file = (PROJECT / page).parent / path if path else PROJECT / page
        if not file.is_file() or (anchor and anchor not in anchors(file.read_text())):
            missing.append(target)
    assert missing == []


def anchors(text: str) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_source_that_is_named_is_there(page: str) -> None:
    named = re.findall(r"`((?:src|tests)/[\w/.-]+)`", (PROJECT / page).read_text())
    assert [name for name in named if not (PROJECT / name).exists()] == []


def test_the_picture_is_small() -> None:
    assert (PROJECT / "docs/inspector.png").stat().st_size < MAX_PICTURE_BYTES
