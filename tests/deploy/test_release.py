"""The workflow that publishes the packages: what it may do, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
PUBLISHED = ("client/js/package.json", "client/python/pyproject.toml", "samwire/pyproject.toml")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


def test_a_release_needs_no_secret_and_only_who_publishes_may_prove_who_it_is(
    jobs: dict[str, Any],
) -> None:
    assert "secrets." not in WORKFLOW.read_text()
    rights = {name: job.get("permissions", {}) for name, job in jobs.items()}
    assert rights == {"build": {}, "npm": {"id-token": "write"}, "pypi": {"id-token": "write"}}
    # What runs the code of dependencies publishes nothing.
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "build": None,
        "npm": "build",
        "pypi": "build",
    }


def test_the_workflow_publishes_the_packages_of_the_page(jobs: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "releasing.md").read_text()
    for name in jobs["pypi"]["strategy"]["matrix"]["package"]:
        assert f"| `{name}` | PyPI |" in page
    name = json.loads((ROOT / PUBLISHED[0]).read_text())["name"]
    assert f"| `{name}` | npm |" in page


@pytest.mark.parametrize("other", [None, *PUBLISHED])
def test_a_tag_that_is_not_every_packages_version_is_refused(
    other: str | None, jobs: dict[str, Any], tmp_path: Path
) -> None:
    (step,) = (s for s in jobs["build"]["steps"] if s.get("name", "").startswith("The tag is"))
    for file in PUBLISHED:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    if other:
        text = (tmp_path / other).read_text()
        (tmp_path / other).write_text(text.replace('"0.1.0"', '"0.1.1"', 1))
    ran = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=tmp_path,
        env={**os.environ, "GITHUB_REF_NAME": "v0.1.0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode == 0) == (other is None), ran.stdout
    if other:
        assert f"file={other}::" in ran.stdout


def test_the_npm_package_says_what_it_is() -> None:
    package = json.loads((ROOT / PUBLISHED[0]).read_text())
    assert "private" not in package
    # From a machine that cannot prove what it has built, npm refuses to publish.
    assert package["publishConfig"] == {"access": "public", "provenance": True}
    assert package["license"] == "MIT"
    assert (ROOT / "client/js/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    here = ROOT / "client" / "js"
    for name, target in package["exports"].items():
        files = [target] if isinstance(target, str) else list(target.values())
        # What is generated (`types/`) follows from a module of the same name.
        sources = [f.replace("./types/", "./").replace(".d.ts", ".js") for f in files]
        missing = [f for f, s in zip(files, sources, strict=True)
                   if not ((here / f).exists() or (here / s).exists())]  # fmt: skip
        assert missing == [], name
