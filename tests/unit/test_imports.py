"""What may import what: the deployed code knows nothing of this machine, and imports little."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "layers" / "parley" / "parley"
FORBIDDEN = {
    "elevenlabs",
    "moto",
    "samwire",
    "parley_standins",
    "dev",
    "tests",
    "client",
    "boto3",
    "pydantic",
    "numpy",
    "aiohttp",
    "pytest",
}
PLAIN = [
    "aio/replay_queue",
    "audio/pcm",
    "audio/word_timing",
    "auth/claims",
    "auth/config",
    "auth/errors",
    "auth/handshake",
    "auth/jwks",
    "auth/origins",
    "auth/signature",
    "errors",
    "ids",
    "protocol/decoder",
    "protocol/messages",
    "providers/errors",
    "providers/retry",
    "text/sentence_splitter",
    "turn/input/endpointing",
    "turn/input/utterance",
    "turn/output/latency",
    "turn/output/outbox",
]
"""The modules that decide, and do no input or output."""


def imported(path: Path) -> set[str]:
    """Everything that a file imports, at any depth of it; full module names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


DEPLOYED = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("layers/parley/parley", "functions")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", DEPLOYED)
def test_deployed_code_imports_nothing_of_this_machine_and_nothing_slow(path: str) -> None:
    tops = {name.partition(".")[0] for name in imported(ROOT / path)}
    assert tops & FORBIDDEN == set()


@pytest.mark.parametrize("module", PLAIN)
def test_what_decides_does_no_input_or_output(module: str) -> None:
    tops = {name.partition(".")[0] for name in imported(LIBRARY / f"{module}.py")}
    assert tops & {"botocore", "httpx", "websockets", "socket", "threading", "logging"} == set()


def test_what_the_message_function_shares_does_not_import_what_only_a_turn_needs() -> None:
    plain = [name.replace("/", ".") for name in PLAIN if not name.startswith(("auth/", "turn/"))]
    modules = [
        *plain,
        "websocket.message_handler",
        "storage.sessions",
        "storage.item_codec",
        "aws.management_api",
        "app.environment",
    ]
    code = (
        f"import sys, importlib; [importlib.import_module('parley.' + m) for m in {modules}]; "
        "unwanted = {'httpx', 'websockets', 'parley.turn.turn', 'parley.aws.api_keys'}; "
        "print(*sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == ""


def test_where_authentication_is_off_nothing_is_imported_for_it() -> None:
    code = (
        "import sys; from parley.auth.authenticator import Authenticator; "
        "Authenticator.from_environment(); "
        "print(*sorted({'httpx', 'jwt', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout.strip() == ""


OWN = {
    "samwire": {"samwire", "samwire_tests"},
    "standins": {"parley_standins", "standins_tests", "local"},
}
"""The packages of each distribution that is installed alone, tests included."""
PARLEYS = {"parley", "parley_client", "dev", "deploy", "functions", "tests", "benchmarks"}


@pytest.mark.parametrize("folder", OWN)
def test_a_distribution_and_its_tests_import_nothing_else_of_this_repository(folder: str) -> None:
    others = PARLEYS.union(*OWN.values()) - OWN[folder]
    tops = {
        path: {name.partition(".")[0] for name in imported(path)}
        for kind in ("src", "tests")
        for path in (ROOT / folder / kind).rglob("*.py")
    }
    assert len(tops) > 10
    assert {str(path): found & others for path, found in tops.items() if found & others} == {}


def test_there_is_something_to_check() -> None:
    assert "functions/message/app.py" in DEPLOYED
    assert "layers/parley/parley/providers/socket.py" in DEPLOYED
    assert "botocore.exceptions.ClientError" in imported(LIBRARY / "storage/table.py")
