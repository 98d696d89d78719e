"""Each distribution alone: what installing it brings, and that it works with no more.

A full installation would fetch a hundred packages. Its result is made here from what is installed
already, as requirements.lock has it: a virtual environment that has the distribution's own wheel,
and of all other packages only those that the wheel asks for, directly or not.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from samwire_tests.ready_process import ready_process

ROOT = Path(__file__).parents[2]
APPS = ROOT / "samwire" / "tests" / "fixtures" / "apps"
LOCKED = {
    canonicalize_name(name)
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
}
NOT_OF_SAMWIRE = ("numpy", "pocketsphinx", "soxr", "lameenc", "parley", "parley_standins", "local")
NOT_OF_THE_LAYER = ("moto", "aiohttp", "samwire", "parley_standins", "numpy", "pocketsphinx")
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
"""
FIND = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name)]))
"""
INSTALLED_COMMAND = """
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="samwire")
raise SystemExit(command.load()())
"""
"""What an installer writes into `bin/samwire`."""


@dataclass(frozen=True)
class Alone:
    """A virtual environment with one distribution and what it needs.

    Attributes:
        needed: names of the other distributions.
    """

    folder: Path
    needed: set[str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, code: str, *arguments: str) -> str:
        """What a program prints that runs there."""
        command = [str(self.python), "-c", code, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def wheel_of(project: Path, folder: Path) -> Path:
    """Build a distribution's wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(folder)], cwd=project, check=True, capture_output=True
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def requirements_of(wheel: Path) -> list[str]:
    """What a wheel says that it needs."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def closure(requirements: list[str]) -> set[str]:
    """Names of all distributions that an installer would bring, by what is installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in found:
                found.add((name, wanted))
                needs = metadata.requires(name) or []
                waiting += [(Requirement(text), wanted) for text in needs]
    return {name for name, _ in found}


def linked(names: set[str], folder: Path) -> None:
    """Put installed distributions into another folder of packages."""
    for name in names:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            link = folder / top
            if not link.is_symlink():
                link.symlink_to(Path(str(distribution.locate_file(top))))


def alone(project: Path, folder: Path) -> Alone:
    """Install a distribution as an installer would, with packages that are here already."""
    wheel = wheel_of(project, folder)
    needed = closure(requirements_of(wheel))
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    linked(needed, packages)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return Alone(environment, needed)


@pytest.fixture(scope="module")
def samwire(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return alone(ROOT / "samwire", tmp_path_factory.mktemp("samwire"))


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return alone(ROOT / "layers" / "parley", tmp_path_factory.mktemp("layer"))


@pytest.mark.parametrize("project", ["client/python", "layers/parley", "samwire", "standins"])
def test_a_wheel_has_the_licence(project: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel_of(ROOT / project, tmp_path)) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/licenses/LICENSE"))
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_emulator_brings_nothing_of_voice_and_nothing_of_parley(samwire: Alone) -> None:
    assert {"aiohttp", "moto", "awslambdaric", "cfn-lint"} <= samwire.needed <= LOCKED
    assert json.loads(samwire.run(FIND, "moto", *NOT_OF_SAMWIRE)) == ["moto"]


def test_the_layer_brings_nothing_of_the_emulator(layer: Alone) -> None:
    assert {"boto3", "httpx", "websockets"} <= layer.needed <= LOCKED
    assert json.loads(layer.run(FIND, "httpx", *NOT_OF_THE_LAYER)) == ["httpx"]


def test_every_module_of_the_emulator_imports_with_what_it_brings(samwire: Alone) -> None:
    samwire.run(IMPORT_ALL, "samwire")


def test_every_module_of_the_layer_imports_with_what_it_brings(layer: Alone) -> None:
    layer.run(IMPORT_ALL, "parley")


@contextlib.contextmanager
def started(samwire: Alone, name: str, folder: Path) -> Iterator[dict[str, str]]:
    """The URL of each WebSocket API of an application that the installed command serves."""
    template = APPS / name / "template.yaml"
    command = [str(samwire.python), "-c", INSTALLED_COMMAND, "start", "--json", "--no-lint"]
    command += ["--template", str(template), "--port", "0"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with ready_process(command, folder / f"{name}.log", environment) as info:
        yield {api: urls["websocket_url"] for api, urls in info["apis"].items()}


def test_the_emulator_alone_serves_other_peoples_applications(
    samwire: Alone, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as running:
        urls = {
            name: running.enter_context(started(samwire, name, tmp_path))
            for name in ("broadcast", "longrun", "token")
        }
        with connect(urls["broadcast"]["ChatApi"]) as socket:
            socket.send(json.dumps({"action": "sendmessage", "data": "hello"}))
            assert socket.recv(20) == "hello"
        with connect(urls["longrun"]["Api"]) as socket:
            socket.send(json.dumps({"action": "work", "job": 1, "seconds": 0, "steps": 1}))
            assert "accepted" in json.loads(socket.recv(20))
        offered = [Subprotocol("chat"), Subprotocol("token-of-ann")]
        with connect(urls["token"]["Api"], subprotocols=offered) as socket:
            socket.send(json.dumps({"action": "whoami"}))
            assert json.loads(socket.recv(20))["principalId"] == "ann"
