"""The code in S3, where CloudFormation finds it: what only `sam package` can do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.account import Account
from deploy.errors import DeployError
from deploy.options import ROOT

_UPLOADED = re.compile(rb"s3://([a-z0-9.-]+)/")
_SAM = ROOT / ".venv-sam" / "bin" / "sam"


@dataclass(frozen=True, slots=True)
class Package:
    """A template that names its code in S3.

    Attributes:
        bucket: which holds the code.
    """

    template: bytes
    bucket: str


def upload_code(account: Account, template: Path, bucket: str | None, prefix: str) -> Package:
    """Upload what the functions and the layer are made of.

    Args:
        template: that `sam build` made.
        bucket: None for the one that SAM makes once for each region.

    Raises:
        DeployError: `sam` could not.
    """
    where = ["--s3-bucket", bucket] if bucket else ["--resolve-s3"]
    with tempfile.TemporaryDirectory() as folder:
        packaged = Path(folder, "packaged.yaml")
        files = ["--template-file", str(template), "--output-template-file", str(packaged)]
        prefixed = ["--s3-prefix", prefix, "--no-progressbar"]
        run_sam(["package", *files, *where, *prefixed, *account.options])
        content = packaged.read_bytes()
    if bucket is None:
        found = _UPLOADED.search(content)
        if found is None:
            raise DeployError(f"sam package has uploaded nothing of {template}: run `make build`.")
        bucket = found[1].decode()
    return Package(content, bucket)


def run_sam(arguments: list[str]) -> None:
    """Run the SAM CLI without a question, and show what it says only if it fails.

    Raises:
        DeployError: it is not installed, or it failed.
    """
    sam = str(_SAM) if _SAM.exists() else "sam"
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and a program of the project's
            [sam, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        )
    except FileNotFoundError:
        raise DeployError("The SAM CLI is not installed: `make deploy` does it.") from None
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise DeployError(f"sam {arguments[0]} failed (above).")
