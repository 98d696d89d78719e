"""axe-core in a page: what it finds that somebody could not perceive, understand or use."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.stack import ROOT

SCRIPT = ROOT / "client" / "js" / "node_modules" / "axe-core" / "axe.min.js"


COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that depend on the colour scheme; all others find the same in each."""


def violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """Each violated rule with the elements that violate it; none if all is well."""
    if not SCRIPT.exists():
        pytest.fail("axe-core is missing: run `npm ci` in client/js")
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT.read_text() + "; undefined")
    # Of things that fade in, the contrast changes.
    page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
