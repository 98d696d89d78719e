"""The client's modules stand on floors: each imports lower ones only, its types included."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import parley_client

PACKAGE = Path(parley_client.__file__).parent
OPTIONAL = {"sounddevice": "devices"}
"""Packages of an extra, with the one module that imports each."""


def imports_of(path: Path) -> set[str]:
    """Every module that a file names, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            assert node.module is not None
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def graph(package: Path) -> dict[str, set[str]]:
    """Which modules of a package each of them imports."""
    modules = {path.stem: path for path in package.glob("*.py") if path.stem != "__init__"}
    return {
        name: {
            each.removeprefix(f"{package.name}.")
            for each in imports_of(path)
            if each.removeprefix(f"{package.name}.") in modules and each.startswith(package.name)
        }
        for name, path in modules.items()
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(graph(PACKAGE)).prepare()


def test_a_circle_would_be_noticed(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    package.mkdir()
    (package / "low.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy import high\n"
    )
    (package / "high.py").write_text("from toy.low import something\n")
    with pytest.raises(CycleError):
        TopologicalSorter(graph(package)).prepare()


def rows() -> list[set[str]]:
    """The rows of modules in docs/client-python.md, top first."""
    page = (Path(__file__).parents[3] / "docs" / "client-python.md").read_text()
    table = page.partition("\n## How it is built\n")[2]
    first_cells = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    return [set(re.findall(r"`(\w+)`", cell)) for cell in first_cells]


def test_a_module_imports_only_its_own_row_of_the_page_and_those_below() -> None:
    imports = graph(PACKAGE)
    floors = {name: at for at, row in enumerate(rows()) for name in row}
    assert set(floors) == set(imports)
    upward = {
        (name, other)
        for name, others in imports.items()
        for other in others
        if floors[other] < floors[name]
    }
    assert upward == set()


def test_the_package_needs_nothing_but_websockets() -> None:
    for path in PACKAGE.glob("*.py"):
        for name in imports_of(path):
            top = name.partition(".")[0]
            is_optional = OPTIONAL.get(top) == path.stem
            known = top in sys.stdlib_module_names or top in ("websockets", "parley_client")
            assert known or is_optional, f"{path.name} imports {name}"
