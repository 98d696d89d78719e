"""The browser's code: no text becomes markup or code, and the headers fit the page."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = ("client/js", "web", "samwire/src/samwire/inspector/page")
SCRIPTS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.js"))]
PAGES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.html"))]
SINKS = re.compile(
    r"\.(?:inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdocument\s*\.\s*write|\bsrcdoc\b"
    r"|\beval\s*\(|\bnew\s+Function\b|\bFunction\s*\(|\bDOMParser\b|\bcreateContextualFragment\b"
    r"|\bset(?:Timeout|Interval)\s*\(\s*[\"'`]|\bjavascript:|\bdangerouslySetInnerHTML\b"
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_script_makes_markup_or_code_of_text(path: Path) -> None:
    lines = path.read_text().splitlines()
    found = [f"{number}: {line}" for number, line in enumerate(lines, 1) if SINKS.search(line)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    ["a.innerHTML = said", "eval (x)", "new Function('x')", "setTimeout('x()', 1)", "el.srcdoc=x"],
)
def test_what_would_is_found(line: str) -> None:
    assert SINKS.search(line)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_has_handlers_or_styles_in_its_markup(path: Path) -> None:
    assert re.findall(r"<[^>]*\s(?:on[a-z]+|style)\s*=[^>]*>|<style", path.read_text()) == []


def asked_headers() -> dict[str, str]:
    """What `web/_headers` asks for all paths."""
    lines = (ROOT / "web" / "_headers").read_text().splitlines()
    return dict(line.strip().split(": ", 1) for line in lines if line.startswith("  "))


def directives(policy: str) -> dict[str, str]:
    """A content security policy, by the directives' names."""
    return dict(part.strip().split(" ", 1) for part in policy.split(";"))


def test_the_policy_allows_the_scripts_in_the_markup_and_no_others() -> None:
    page = (ROOT / "web" / "index.html").read_text()
    inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline]
    allowed = directives(asked_headers()["Content-Security-Policy"])["script-src"]
    assert allowed == " ".join(["'self'", *(f"'sha256-{found}'" for found in hashes)])


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what stands behind them."""


_Template.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def test_cloudfront_sends_what_the_folder_asks_for() -> None:
    template = yaml.load((ROOT / "docs" / "page-on-cloudfront.yaml").read_text(), _Template)
    given = template["Resources"]["Headers"]["Properties"]["ResponseHeadersPolicyConfig"]
    asked = asked_headers()
    security = given["SecurityHeadersConfig"]
    policy = directives(security["ContentSecurityPolicy"]["ContentSecurityPolicy"])
    expected = directives(asked.pop("Content-Security-Policy"))
    assert policy.pop("connect-src") == "'self' ${ApiOrigin}"
    assert expected.pop("connect-src").startswith("'self' ")
    assert policy == expected
    assert security["ReferrerPolicy"]["ReferrerPolicy"] == asked.pop("Referrer-Policy")
    assert "ContentTypeOptions" in security
    assert asked.pop("X-Content-Type-Options") == "nosniff"
    custom = {item["Header"]: item["Value"] for item in given["CustomHeadersConfig"]["Items"]}
    assert custom == asked
