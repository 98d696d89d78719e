"""The house: in every package of the repository the imports run in no circle."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load(path: Path) -> ModuleType:
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


rooms = load(ROOT / "docs" / "rooms.py")
PACKAGES = [path.relative_to(ROOT).as_posix() for path in rooms.packages()]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_imports_of_a_package_run_in_no_circle(package: str) -> None:
    assert rooms.circles(ROOT / package) == []


def test_the_layer_is_looked_at() -> None:
    assert "layers/parley/parley" in PACKAGES


def test_a_room_is_above_all_that_it_imports() -> None:
    graph = rooms.rooms()
    floor = rooms.floors(graph)
    assert {floor["parley"], floor["aio"]} == {1}
    assert all(floor[room] > floor[below] for room in graph for below in graph[room])
    assert floor["app"] == max(floor.values())


def package(folder: Path, **files: str) -> Path:
    """Write a package `house`; a file's name has `__` where its path has a slash."""
    for name, text in files.items():
        path = folder / "house" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    (folder / "house" / "__init__.py").touch()
    return folder / "house"


@pytest.mark.parametrize(
    ("files", "members"),
    [
        ({"a": "from house.b import x", "b": "import house.a"}, {"house.a", "house.b"}),
        (
            {"a": "from house import b", "b": "def f():\n    from house.a import x"},
            {"house.a", "house.b"},
        ),
        (
            {
                "a": "from house.b import x",
                "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import y",
            },
            {"house.a", "house.b"},
        ),
        (
            {
                "up__one": "from house.down.one import x",
                "down__one": "",
                "down__two": "from ..up import one",
            },
            {"house.up", "house.down"},
        ),
        ({"up__one": "from .two import x", "up__two": "from . import one"}, {"house.up.one"}),
    ],
    ids=["plain", "in a function", "for types", "of rooms only", "within a room"],
)
def test_a_circle_is_found(tmp_path: Path, files: dict[str, str], members: set[str]) -> None:
    found = rooms.circles(package(tmp_path, **files))
    assert len(found) == 1
    assert members <= set(found[0])


def test_what_runs_in_no_circle_is_not_called_one(tmp_path: Path) -> None:
    house = package(tmp_path, up__one="from house.down.one import x", down__one="", alone="")
    assert rooms.circles(house) == []
