"""`python -m dev`, which `make run` runs."""

from __future__ import annotations

import argparse

from dev import run

parser = argparse.ArgumentParser(
    prog="python -m dev", description="Hold a conversation on this machine, then serve the page."
)
run.add_arguments(parser)
raise SystemExit(run.main(parser.parse_args()))
