"""How long a function takes to import, as a cold start does.

Each sample is a fresh process with this interpreter; compiled modules are in place, as in the
layer that is deployed. Run it with Python 3.13 for the deployed runtime's figures.

    python benchmarks/import_time.py [--samples 9] [--other PATH]

`--other` compares the processor time with that of another tree, in pairs.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS_MS = {
    "connect": 500,
    "disconnect": 500,
    "message": 500,
    "failure": 500,
    "sessions": 500,
    "health": 500,
    "turn": 700,
    "http_turn": 700,
}
AUTH = {
    "secret": {"AUTH_MODE": "secret", "AUTH_SECRET_ARN": "secret"},
    "oidc": {"AUTH_MODE": "oidc", "AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "a"},
}
"""The connect function imports what it needs for its mode of authentication, and no more."""
TIMED = (
    "import time; began = time.perf_counter(); import app; "
    "print((time.perf_counter() - began) * 1000)"
)
BASELINE = "import time; began = time.perf_counter(); {}; print((time.perf_counter()-began)*1000)"
ENVIRONMENT = {
    "TABLE_NAME": "table",
    "TURN_FUNCTION": "turn",
    "SECRET_ARN": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "POWERTOOLS_SERVICE_NAME": "parley",
    "POWERTOOLS_METRICS_NAMESPACE": "Parley",
    "PYTHONPATH": str(ROOT / "layers" / "parley"),
}


def sample_ms(code: str, folder: Path, variables: dict[str, str]) -> float:
    """One import in a fresh process."""
    environment = {**os.environ, **ENVIRONMENT, **variables}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def cpu_ms(tree: Path, function: str) -> float:
    """The processor time of one import of a tree's function, in a fresh process."""
    done = subprocess.run(
        [str(tree / ".venv/bin/python"), "-c", "import time, app; print(time.process_time())"],
        cwd=tree / "functions" / function,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(tree / "layers" / "parley")},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1000


def compare(other: Path, samples: int) -> None:
    """Measure both trees in pairs, and print the ratios."""
    print(f"{'CPU ms':20s} {'this':>8s} {'other':>8s} {'medians':>8s} {'leasts':>8s}")
    for name in TARGETS_MS:
        if not all((tree / "functions" / name / "app.py").exists() for tree in (ROOT, other)):
            continue
        pairs = [(cpu_ms(ROOT, name), cpu_ms(other, name)) for _ in range(samples + 1)][1:]
        ours, theirs = zip(*pairs, strict=True)
        middle = statistics.median(ours), statistics.median(theirs)
        ratios = f"{middle[0] / middle[1]:8.2f} {min(ours) / min(theirs):8.2f}"
        print(f"{name:20s} {middle[0]:8.0f} {middle[1]:8.0f} {ratios}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--other", type=Path, help="a tree to compare with")
    options = parser.parse_args()
    if options.other:
        compare(options.other.resolve(), options.samples)
        return
    samples = options.samples
    for path in (ROOT / "layers", ROOT / "functions", Path(os.__file__).parent):
        compileall.compile_dir(str(path), quiet=2)
    compileall.compile_path(quiet=2)
    print(f"Python {platform.python_version()}, {platform.machine()}, {samples} samples each, ms\n")
    print(f"{'':28s} {'median':>8s} {'min':>8s} {'max':>8s} {'target':>8s}")
    rows: dict[str, tuple[str, Path, int | None, dict[str, str]]] = {
        "boto3 (for comparison)": (BASELINE.format("import boto3"), ROOT, None, {})
    }
    for name, target in TARGETS_MS.items():
        rows[f"{name} function"] = (TIMED, ROOT / "functions" / name, target, {})
    for mode, variables in AUTH.items():
        connect = ROOT / "functions" / "connect"
        rows[f"connect function, {mode}"] = (TIMED, connect, TARGETS_MS["connect"], variables)
    for label, (code, folder, limit, variables) in rows.items():
        sample_ms(code, folder, variables)
        found = [sample_ms(code, folder, variables) for _ in range(samples)]
        shown = f"{limit:8d}" if limit else ""
        columns = f"{statistics.median(found):8.0f} {min(found):8.0f} {max(found):8.0f}"
        print(f"{label:28s} {columns} {shown}")


if __name__ == "__main__":
    main()
