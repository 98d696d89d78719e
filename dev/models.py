"""Gets what `make run` speaks and hears with, unless it is there.

    python -m dev.models

hibari-tts is a package with a voice. Of the package `moonshine-voice` only the weights are taken
(`dev/models.sh`). All of it is pinned by hash. Where it cannot be had, a sentence says why.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "dev" / "models-requirements.txt"
WEIGHTS = ROOT / ".local" / "models" / "moonshine-tiny-en-0.1.0"
"""A folder of its own for each version: what is there is what is locked."""
MEGABYTES = 98
"""What is fetched: onnxruntime 28, hibari-tts 14, moonshine-voice 56."""
OWN = ("hibari-tts", "onnxruntime")
LONGEST_S = 900
_PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\]+)", re.MULTILINE)


def are_here() -> bool:
    """Whether nothing has to be fetched."""
    return WEIGHTS.is_dir() and are_installed()


def are_installed() -> bool:
    """Whether the packages are those that are locked."""
    locked = dict(_PIN.findall(LOCK.read_text()))
    try:
        return all(version(name) == locked[name] for name in OWN)
    except PackageNotFoundError:
        return False


def fetch() -> str:
    """Fetch what is missing. Return why it cannot be had, in one line; empty if it is here."""
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    command = ["sh", "dev/models.sh", sys.prefix, str(WEIGHTS)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return f"they were not here after {LONGEST_S} s"
    return first_reason(done.stderr) if done.returncode else ""


def first_reason(said: str) -> str:
    """Return what an installer says first of why it has failed."""
    lines = [line.strip(" \t×│├╰─▶╷").removeprefix("error: ") for line in said.splitlines()]
    return next((line.rstrip(".") for line in lines if line), "nothing says why")


def main() -> int:
    """Fetch what is missing; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--installed", action="store_true", help="only ask whether the packages are"
    )
    if parser.parse_args().installed:
        return 0 if are_installed() else 1
    why = "" if are_here() else fetch()
    if why:
        print(f"hibari and Moonshine cannot be had: {why}.", file=sys.stderr)
    return 1 if why else 0


if __name__ == "__main__":
    raise SystemExit(main())
