"""How long a newcomer waits for `make run`: fresh clones, no caches, the two states in turns.

Each sample clones a repository into a new folder, with a home of its own and without the
caches of pip and uv. It runs `make run` and notes when the page is served, when the demo
conversation has ended, how much disk it then takes, and the load of the machine. Packages come
from where pip's configuration says.

    python benchmarks/first_run.py --before ../before [--after .] [--samples 3]

`--before` and `--after` are repositories that `git clone` takes; only what is committed counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORT = 3001
"""The default: older states know no other."""
LONGEST_S = 900
POLL_S = 0.1
KEYS = ("ELEVENLABS_API_KEY", "LLM_API_KEY", "LLM_BASE_URL", "AUTH_MODE", "MAKEFLAGS", "MAKELEVEL")
DONE = "Ctrl-C stops everything."


@dataclass(frozen=True)
class Sample:
    """One first run, in seconds from the start of `make run`.

    Attributes:
        load: of the machine in the minute before, from the kernel.
        packages: how many the environment has.
        megabytes: of environments and models, links counted once.
    """

    page_s: float
    demo_s: float
    load: float
    packages: int
    megabytes: float


def measure(repository: str) -> Sample:
    """Clone and run once.

    Raises:
        RuntimeError: `make run` ended or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="first-run-") as folder:
        home, clone = Path(folder, "home"), Path(folder, "clone")
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", repository, str(clone)], check=True)
        _check_that_the_port_is_free()
        load = os.getloadavg()[0]
        began = time.monotonic()
        process = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=_environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        page = _Page(began)
        page.start()
        try:
            demo_s = _wait_for_the_end_of_the_demo(process, began)
            page.join(5)
        finally:
            page.over.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.wait(30)
        if page.served_s is None:
            raise RuntimeError("The page was not served.")
        packages = len(list(clone.glob(".venv*/lib/python3*/site-packages/*.dist-info")))
        return Sample(page.served_s, demo_s, load, packages, _megabytes(clone))


class _Page(threading.Thread):
    """Asks for the page until it is served."""

    def __init__(self, began: float) -> None:
        super().__init__(daemon=True)
        self._began = began
        self.over = threading.Event()
        self.served_s: float | None = None

    def run(self) -> None:
        while not self.over.wait(POLL_S):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://localhost:{PORT}/", timeout=5) as answer,
            ):
                if answer.status == 200:
                    self.served_s = time.monotonic() - self._began
                    return


def _megabytes(clone: Path) -> float:
    files = {
        (found.st_dev, found.st_ino): found.st_blocks * 512
        for folder in (*clone.glob(".venv*"), clone / ".local")
        for path in folder.rglob("*")
        if not path.is_symlink() and path.is_file()
        for found in (path.stat(),)
    }
    return sum(files.values()) / 1_000_000


def _check_that_the_port_is_free() -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise RuntimeError(f"Port {PORT} is in use, and older states know no other.")


def _environment(home: Path) -> Mapping[str, str]:
    """This process's, with nothing in it that a fresh machine would not have."""
    path = [part for part in os.environ["PATH"].split(os.pathsep) if not _is_an_environment(part)]
    return {
        **{k: v for k, v in os.environ.items() if k not in (*KEYS, "VIRTUAL_ENV")},
        "PATH": os.pathsep.join(path),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PIP_NO_CACHE_DIR": "1",
    }


def _is_an_environment(folder: str) -> bool:
    return Path(folder).parent.joinpath("pyvenv.cfg").exists()


def _wait_for_the_end_of_the_demo(process: subprocess.Popen[str], began: float) -> float:
    assert process.stdout is not None
    said: list[str] = []
    with _ended_after(process, LONGEST_S):
        for line in process.stdout:
            said.append(line)
            if line.startswith(DONE):
                return time.monotonic() - began
    raise RuntimeError("make run has ended:\n" + "".join(said[-20:]))


@contextlib.contextmanager
def _ended_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def main() -> int:
    """Measure in turns and print medians, spreads and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", metavar="REPOSITORY", required=True)
    parser.add_argument("--after", metavar="REPOSITORY", default=str(ROOT))
    parser.add_argument("--samples", type=int, default=3)
    arguments = parser.parse_args()
    if shutil.which("make") is None:
        print("This needs make.", file=sys.stderr)
        return 2
    found: dict[str, list[Sample]] = {"before": [], "after": []}
    for _ in range(arguments.samples):
        for state, samples in found.items():
            sample = measure(vars(arguments)[state])
            samples.append(sample)
            print(
                f"{state:8s} page {sample.page_s:6.1f} s, conversation {sample.demo_s:6.1f} s, "
                f"{sample.packages} packages, {sample.megabytes:.0f} MB, load {sample.load:.1f}",
                flush=True,
            )
    print(f"\n{'':24s} {'before':>18s} {'after':>18s} {'ratio':>6s}")
    for label, name in (("page served", "page_s"), ("conversation over", "demo_s")):
        before, after = ([getattr(s, name) for s in found[k]] for k in ("before", "after"))
        ratio = statistics.median(after) / statistics.median(before)
        print(f"{label:24s} {_shown(before):>18s} {_shown(after):>18s} {ratio:6.2f}")
    return 0


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} ({min(seconds):.0f}–{max(seconds):.0f}) s"


if __name__ == "__main__":
    sys.exit(main())
