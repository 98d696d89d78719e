"""What `make run` installs: a share of what is locked, and enough."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.e2e.stack import ROOT

LOCK = ROOT / "dev" / "requirements.lock"
MODELS = ROOT / "dev" / "models-requirements.txt"
PIN = re.compile(
    r"^([a-z0-9.-]+)==(\S+)(?: ; (.*?))? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)
OWN = {"parley", "parley_client", "parley_standins", "samwire", "dev"}
SOURCES = (
    "client/python/src", "dev", "functions", "layers/parley/parley", "samwire/src", "standins/src"
)  # fmt: skip
IMPORT_ALL = """
import importlib, pkgutil, sys
from importlib.metadata import packages_distributions

locked, modules = set(sys.argv[1].split(",")), sys.argv[2].split(",")
hidden = {
    name
    for name, distributions in packages_distributions().items()
    if not {d.lower().replace("_", "-") for d in distributions} & locked
}

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is not locked", name=name)

for name in hidden & set(sys.modules):
    del sys.modules[name]
sys.meta_path.insert(0, Hidden())
for name in modules:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"{name}."):
        if not found.name.startswith(sys.argv[3]):
            importlib.import_module(found.name)
print("all")
"""
OPTIONAL = "parley_standins.natural"
"""What does not run without the models, which another file locks."""
MOTO = ("dynamodb", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts", "iam", "logs", "xray")
"""The services that a template or its functions may use here."""
MODULES = (
    *("samwire", "parley_standins", "parley", "parley_client.demo", "parley_client.talk", "dev"),
    *("moto.moto_server.werkzeug_app", *(f"moto.{service}.urls" for service in MOTO)),
)


def pins(lock: Path) -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    """Version and hashes by name and marker."""
    return {
        (name, marker.split(" and ")[0] if marker else ""): (version, frozenset(hashes.split()))
        for name, version, marker, hashes in PIN.findall(lock.read_text())
    }


def test_it_is_a_share_of_what_is_locked_and_all_of_it_has_hashes() -> None:
    run, everything = pins(LOCK), pins(ROOT / "requirements.lock")
    assert len(run) == sum("==" in line for line in LOCK.read_text().splitlines() if line[0] != " ")
    assert {name: found for name, found in run.items() if everything.get(name) != found} == {}
    assert ("pytest", "") in everything.keys() - run.keys()


def test_what_speaks_and_hears_is_locked_as_for_the_tests() -> None:
    models, everything = pins(MODELS), pins(ROOT / "requirements.lock")
    assert {name: found for name, found in models.items() if everything.get(name) != found} == {}
    assert {"hibari-tts", "onnxruntime"} <= {name for name, _ in models}


@pytest.mark.parametrize("folder", ["client/python", "layers/parley", "samwire", "standins"])
def test_it_has_what_a_distribution_asks_for(folder: str) -> None:
    asked = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    locked = {name: version for (name, _), (version, _) in pins(LOCK).items()}
    for text in [*asked["project"]["dependencies"], *asked["build-system"]["requires"]]:
        needed = Requirement(text)
        assert locked[canonical(needed.name)] in needed.specifier


def test_it_has_every_package_that_a_file_imports() -> None:
    known = packages_distributions()
    locked = {name for name, _ in (*pins(LOCK), *pins(MODELS))}
    missing = {
        f"{path.relative_to(ROOT)}: {top}"
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for top in imported(path) - OWN - sys.stdlib_module_names
        if top in known
        and not top.startswith("mypy_")
        and not {canonical(name) for name in known[top]} & locked
    }
    assert missing == set()


def imported(path: Path) -> set[str]:
    """The top of everything that a file imports, at any depth of it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_nothing_else_is_needed_to_import_what_runs() -> None:
    locked = ",".join({name for name, _ in pins(LOCK)} | {canonical(name) for name in OWN})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, locked, ",".join(MODULES), OPTIONAL],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr
