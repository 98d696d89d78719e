"""docs/providers.md says what the registry and the template say."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from parley.providers.registry import STAGES
from samwire.template.loader import load_template

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "providers.md"
RULES = load_template(ROOT / "template.yaml")["Rules"]


def load() -> ModuleType:
    """Import the script, which is in no package."""
    spec = importlib.util.spec_from_file_location(
        "provider_table", ROOT / "docs" / "provider_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["provider_table"] = module
    spec.loader.exec_module(module)
    return module


script = load()


def test_the_table_is_current() -> None:
    assert script.main(["--check"]) == 0, "run `make generate`"


def test_a_table_of_other_providers_is_not_current(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "providers.md"
    page.write_text(PAGE.read_text().replace("`cartesia`", "`carthago`"))
    monkeypatch.setattr(script, "PAGE", page)
    assert script.main(["--check"]) == 1
    assert script.main([]) == 0
    assert script.table() in page.read_text()


def test_nothing_is_said_of_a_provider_that_there_is_not() -> None:
    assert set(script.FACTS) == {(stage, name) for stage in STAGES for name in STAGES[stage]}


def test_every_rule_about_providers_is_quoted() -> None:
    sentences = script.refusals()
    choosers = ("Transcriber", "Responder", "Synthesizer")
    for name, rule in RULES.items():
        is_about_providers = any(chooser in str(rule) for chooser in choosers)
        assert is_about_providers is (name not in script.OTHER_RULES), name
        for assertion in rule["Assertions"] if is_about_providers else ():
            assert f"- {' '.join(assertion['AssertDescription'].split())}" in sentences


def test_every_parameter_that_is_named_is_the_templates() -> None:
    declared = load_template(ROOT / "template.yaml")["Parameters"]
    named = re.findall(r"`((?:[A-Z][a-z0-9]+){2,})`", PAGE.read_text())
    assert named
    assert [name for name in named if name not in declared] == []


def test_every_parameter_has_a_row_in_the_deployment_page() -> None:
    declared = load_template(ROOT / "template.yaml")["Parameters"]
    page = (ROOT / "docs" / "deploy.md").read_text()
    shortened = {name for name in declared if re.search(r"Per(Subject|Tenant)$", name)}
    assert [name for name in set(declared) - shortened if f"`{name}`" not in page] == []
