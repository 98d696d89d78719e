"""`make run` in an environment that is there: it installs nothing, and passes its settings on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """One whose Python says what it is asked to run."""
    folder = tmp_path / "environment"
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    (folder / ".runnable").touch()
    return folder


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        (["PORT=0"], "--port 0"),
        (["PORT=0", "DEMO=no"], "--port 0 --demo no"),
        (["PORT=0", "DEMO=yes"], "--port 0 --demo yes"),
        (
            ["PORT=0", "VOICE=cartesia", "MIND=n8n", "EARS=whisper", "STANDINS=small"],
            "--port 0 --voice cartesia --mind n8n --ears whisper --standins small",
        ),
    ],
)
@pytest.mark.parametrize("is_before", [True, False], ids=["before make", "after make"])
def test_settings_are_passed_on(
    environment: Path, settings: list[str], arguments: str, is_before: bool
) -> None:
    make = ["make", "run", f"VENV={environment}", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        ["env", *settings, *make] if is_before else [*make, *settings],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"-m dev {arguments}\n"
    assert sorted(path.name for path in environment.iterdir()) == [".runnable", "bin"]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("DEMO=maybe", "DEMO: expected yes or no; got maybe."),
        ("VOICE=me", "VOICE: expected elevenlabs, cartesia or openai_speech; got me."),
        ("STANDINS=tiny", "STANDINS: expected natural or small; got tiny."),
        ("EARS=n8n", "EARS: expected elevenlabs, cartesia, deepgram or whisper; got n8n."),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_installed(
    environment: Path, setting: str, sentence: str
) -> None:
    (environment / ".runnable").unlink()
    done = subprocess.run(
        ["make", "run", setting, f"VENV={environment}", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == sentence


def test_make_test_leaves_nothing_for_make_run_to_install(environment: Path) -> None:
    """What it installs is more: the rule of its environment says so to that of `make run`."""
    (environment / ".runnable").unlink()
    rule = subprocess.run(
        ["make", "--dry-run", f"{environment}/.ready", f"VENV={environment}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"touch {environment}/.runnable {environment}/.ready" in rule
