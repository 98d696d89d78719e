"""What may import what: the deployed code knows nothing of this machine, and imports little."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from parley.protocol.messages import Stage
from parley.providers.registry import STAGES
from samwire.runtime.definitions import Definitions

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


def rooms_of_vendors(chosen: Mapping[str, str]) -> set[str]:
    """The packages of vendors that the turn function imports with these providers."""
    code = (
        "import sys; sys.path.insert(0, 'functions/turn'); import app; "
        "print(*{m.split('.')[2] for m in sys.modules if m.startswith('parley.providers.')})"
    )
    variables = {
        "TABLE_NAME": "table",
        "SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:keys",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "LLM_BASE_URL": "https://n8n.example/webhook/x" if "n8n" in chosen.values() else "",
        "LLM_MODEL": "a-model",
        "SPEECH_BASE_URL": "https://speech.example/v1",
        "POWERTOOLS_METRICS_NAMESPACE": "Parley",
        "POWERTOOLS_SERVICE_NAME": "parley",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=variables | {stage.upper(): name for stage, name in chosen.items()},
    )
    packages = {path.parent.name for path in (LIBRARY / "providers").glob("*/__init__.py")}
    vendors = packages - {"replies"}  # what those that reply share
    return vendors & set(done.stdout.split())


USUAL = {"transcriber": "elevenlabs", "responder": "openai_chat", "synthesizer": "elevenlabs"}
BUILT_ON = {"bedrock": {"anthropic", "openai_chat"}}
"""Claude and open models on Bedrock are those of the vendors, at another door."""


@pytest.mark.parametrize(
    ("stage", "name"), [(stage, name) for stage, table in STAGES.items() for name in table]
)
def test_no_vendor_is_imported_that_is_not_chosen(stage: Stage, name: str) -> None:
    own = STAGES[stage][name].module.split(".")[2]
    expected = {"elevenlabs", own} if stage == "responder" else {"elevenlabs", "openai_chat", own}
    found = rooms_of_vendors({**USUAL, stage: name})
    assert own in found
    assert found - expected <= BUILT_ON.get(own, set())


def test_the_first_request_of_a_turn_imports_nothing() -> None:
    """An environment imports what it needs while it initialises: a turn would pay 40 ms."""
    code = (
        "import asyncio, sys, httpx; from parley.providers import http_client as c\n"
        "async def first():\n"
        "    client = c.make_http_client()\n"
        "    await c.import_what_requests_need(); known = set(sys.modules)\n"
        "    try: await client.get('http://127.0.0.1:9/')\n"
        "    except httpx.ConnectError: pass\n"
        "    print(*sorted(set(sys.modules) - known))\n"
        "asyncio.run(first())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() in ([], ["encodings.idna", "stringprep"])  # by AWS's connections


def test_a_check_of_health_opens_no_socket() -> None:
    code = (
        "import sys, importlib; from parley.providers.registry import STAGES; "
        "checks = {e.check for table in STAGES.values() for e in table.values() if e.check}; "
        "[importlib.import_module(check) for check in checks]; "
        "print('websockets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"


def test_the_layer_only_defines_until_a_function_makes_something_of_it() -> None:
    """So the local stack imports it once for environments that run at the same time."""
    files = {
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in LIBRARY.rglob("*.py")
    }
    others = files.keys() - Definitions(files).only_define()
    # It has httpx do without its command line, which is the environment's.
    assert others == {"parley.app.environment", "parley.app.turn_runner"}


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
    assert "parley.aws.failures.ServiceError" in imported(LIBRARY / "storage/table.py")
