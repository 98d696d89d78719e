"""docs/make-it-yours.md: its commands, variables and attributes are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "make-it-yours.md").read_text()
SHELL = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_every_target_is_the_makefiles() -> None:
    targets = set(re.findall(r"\bmake ([a-z]+)", SHELL))
    makefile = (ROOT / "Makefile").read_text()
    assert targets == {"run", "deploy"}
    assert [each for each in targets if not re.search(rf"^{each}:", makefile, re.MULTILINE)] == []


def test_every_variable_is_one_that_make_run_takes() -> None:
    named = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)*)=", SHELL)) - {"PARAMETERS"}
    local = (ROOT / "docs" / "local.md").read_text()
    assert len(named) > 5
    assert {each for each in named if not re.search(rf"`{each}[`=]", local)} == set()


def test_every_parameter_is_the_templates() -> None:
    named = set(re.findall(r"\b((?:[A-Z][a-z]+){1,3})=", SHELL))
    template = (ROOT / "template.yaml").read_text()
    assert named == {"AllowedOrigins", "SystemPrompt", "Greeting"}
    assert all(re.search(rf"^  {each}:$", template, re.MULTILINE) for each in named)


def test_every_attribute_of_the_widget_is_documented() -> None:
    (tag,) = re.findall(r"<parley-talk ([^>]*)>", PAGE)
    element = (ROOT / "docs" / "element.md").read_text()
    named = re.findall(r"[\w-]+", re.sub(r'"[^"]*"', "", tag))
    assert named == ["url", "text"]
    assert all(f"`{each}`" in element for each in named)
