"""What `sam build` made: small, complete, and nothing in it that belongs to tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".aws-sam" / "build"
FUNCTIONS = (
    "ConnectFunction",
    "MessageFunction",
    "DisconnectFunction",
    "TurnFunction",
    "HttpTurnFunction",
    "HealthFunction",
    "TokenFunction",
    "SessionsFunction",
)
MAX_LAYER_BYTES = 100 * 1024 * 1024
UNWANTED = ("elevenlabs", "moto", "pytest", "local", "tests", "boto3_stubs", "pydantic")

pytestmark = pytest.mark.skipif(
    not BUILD.is_dir(), reason="nothing is built: run `make build` (needs Python 3.13)"
)


def test_the_layer_stays_below_100_mb() -> None:
    layer = BUILD / "ParleyLayer"
    size = sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
    assert size < MAX_LAYER_BYTES, f"{size / 1e6:.1f} MB"


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
    assert (
        str(ROOT).encode()
        not in (python / "parley" / "__pycache__" / "turn.cpython-313.pyc").read_bytes()
    )


@pytest.mark.parametrize("name", UNWANTED)
def test_nothing_deployed_belongs_to_tests_or_to_the_local_stack(name: str) -> None:
    roots = [BUILD / "ParleyLayer" / "python", *(BUILD / function for function in FUNCTIONS)]
    assert not [root / name for root in roots if (root / name).exists()]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_its_handler_and_nothing_else(function: str) -> None:
    assert [path.name for path in (BUILD / function).iterdir()] == ["app.py"]


def test_requirements_of_the_layer_are_those_of_the_lock() -> None:
    locked = {
        line.split(" ")[0].split(";")[0].strip("\\ ")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith(" ")
    }
    pinned = (ROOT / "layers" / "parley" / "requirements.txt").read_text().split()
    assert set(pinned) <= locked


def test_keys_are_never_shown() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    for name in ("ElevenLabsApiKey", "LlmApiKey", "AuthSecret"):
        assert template["Parameters"][name]["NoEcho"] is True
    for function in FUNCTIONS:
        variables = yaml.safe_dump(template["Resources"][function]["Properties"])
        assert "ApiKey" not in variables
        assert "AuthSecret" not in variables


def test_every_parameter_is_described() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text())
    assert [n for n, p in template["Parameters"].items() if not p.get("Description")] == []
