"""What `sam build` made: small, complete, and nothing in it that belongs to tests."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from samwire.template.loader import load_template

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".aws-sam" / "build"
TEMPLATE = load_template(ROOT / "template.yaml")
FUNCTIONS = [
    name
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
]
REQUIREMENTS = ROOT / "layers" / "parley" / "requirements.txt"
MAX_LAYER_BYTES = 100 * 1024 * 1024
UNWANTED = (
    "elevenlabs",
    "moto",
    "pytest",
    "samwire",
    "parley_standins",
    "tests",
    "boto3_stubs",
    "pydantic",
)

pytestmark = pytest.mark.skipif(
    not BUILD.is_dir(), reason="nothing is built: run `make build` (needs Python 3.13)"
)


def test_the_layer_stays_below_100_mb() -> None:
    layer = BUILD / "ParleyLayer"
    size = sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
    assert size < MAX_LAYER_BYTES, f"{size / 1e6:.1f} MB"


def test_the_layer_holds_no_commands_and_no_type_stubs() -> None:
    python = BUILD / "ParleyLayer" / "python"
    assert not (python / "bin").exists()
    assert not [*python.rglob("*.pyi")]


def test_the_layer_holds_the_library_and_what_it_needs() -> None:
    python = BUILD / "ParleyLayer" / "python"
    for name in (
        "parley",
        "msgspec",
        "httpx",
        "websockets",
        "aws_lambda_powertools",
        "boto3",
        "jwt",
    ):
        assert (python / name).is_dir(), name
    built = {path.relative_to(python) for path in (python / "parley").rglob("*.py")}
    source = ROOT / "layers" / "parley"
    assert built == {path.relative_to(source) for path in (source / "parley").rglob("*.py")}


def test_the_layer_is_built_for_arm64() -> None:
    (native,) = (BUILD / "ParleyLayer" / "python" / "msgspec").glob("_core*.so")
    assert "aarch64" in native.name
    assert "313" in native.name


def test_everything_in_the_layer_is_compiled_and_its_bytecode_is_taken_as_it_is() -> None:
    python = BUILD / "ParleyLayer" / "python"
    sources = [path for path in python.rglob("*.py") if path.stat().st_size]
    compiled = [path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in sources]
    assert not [path for path in compiled if not path.is_file()]
    unchecked_hash = (1).to_bytes(4, "little")  # PEP 552
    assert {path.read_bytes()[4:8] for path in compiled} == {unchecked_hash}
    errors = python / "parley" / "__pycache__" / "errors.cpython-313.pyc"
    assert str(ROOT).encode() not in errors.read_bytes()


@pytest.mark.parametrize("name", UNWANTED)
def test_nothing_deployed_belongs_to_tests_or_to_the_local_stack(name: str) -> None:
    roots = [BUILD / "ParleyLayer" / "python", *(BUILD / function for function in FUNCTIONS)]
    assert not [root / name for root in roots if (root / name).exists()]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_its_handler_and_nothing_else(function: str) -> None:
    assert [path.name for path in (BUILD / function).iterdir()] == ["app.py"]


def pins(path: Path) -> dict[str, set[str]]:
    """What a file of requirements pins, and the hashes that it may have."""
    found: dict[str, set[str]] = {}
    pinned: set[str] = set()
    for line in path.read_text().splitlines():
        if requirement := re.match(r"[a-z0-9-]+==[^\s;]+", line):
            pinned = found.setdefault(requirement[0], set())
        pinned |= set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
    return found


def test_requirements_of_the_layer_are_those_of_the_lock() -> None:
    locked = pins(ROOT / "requirements.lock")
    assert pins(REQUIREMENTS).items() <= locked.items()


def test_every_requirement_of_the_layer_is_pinned_with_its_hashes() -> None:
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith(" ")]
    assert len(pins(REQUIREMENTS)) == len(lines) > 10
    assert [name for name, hashes in pins(REQUIREMENTS).items() if not hashes] == []


def wheel(folder: Path, *, content: str) -> str:
    """Make a wheel of a package, and return its hash."""
    path = folder / "voice-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("voice.py", content)
        archive.writestr(
            "voice-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: voice\nVersion: 1.0\n"
        )
        archive.writestr("voice-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("voice-1.0.dist-info/RECORD", "")
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("requirement", ["voice==1.0 --hash={}", "voice==1.0"])
def test_a_package_that_nobody_has_reviewed_does_not_get_into_the_layer(
    tmp_path: Path, requirement: str
) -> None:
    """The layer's own Makefile, with an index that serves something else than was locked."""
    shutil.copy(ROOT / "layers" / "parley" / "Makefile", tmp_path)
    (tmp_path / "parley").mkdir()
    reviewed = wheel(tmp_path, content="")
    (tmp_path / "requirements.txt").write_text(requirement.format(reviewed))

    assert ("{}" in requirement) is (build_layer(tmp_path) == 0)
    wheel(tmp_path, content="raise SystemExit")
    shutil.rmtree(tmp_path / "built", ignore_errors=True)
    assert build_layer(tmp_path) != 0
    assert not list(tmp_path.glob("built/python/voice*"))


def build_layer(folder: Path) -> int:
    """Run what `sam build` runs, with the wheels of a folder, and return its exit code."""
    python = subprocess.run(
        ["sh", ROOT / "tests" / "python313.sh"], capture_output=True, text=True, check=True
    )
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_NO_CACHE_DIR": "1"}
    path = f"{python.stdout.strip()}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["make", "build-ParleyLayer", f"ARTIFACTS_DIR={folder / 'built'}"],
        cwd=folder,
        env={**os.environ, **offline, "PATH": path},
        capture_output=True,
        check=False,
    ).returncode


def test_keys_are_never_shown() -> None:
    for name in ("ElevenLabsApiKey", "LlmApiKey", "AuthSecret"):
        assert TEMPLATE["Parameters"][name]["NoEcho"] is True
    for function in FUNCTIONS:
        variables = yaml.safe_dump(TEMPLATE["Resources"][function]["Properties"])
        assert "ApiKey" not in variables
        assert "AuthSecret" not in variables


def test_every_parameter_is_described() -> None:
    assert [n for n, p in TEMPLATE["Parameters"].items() if not p.get("Description")] == []
