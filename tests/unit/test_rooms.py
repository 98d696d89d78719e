"""The house: in every package of the repository the imports run in no circle."""

from __future__ import annotations

import importlib.util
import re
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


def test_the_picture_in_the_architecture_page_is_current() -> None:
    assert rooms.main(["--check"]) == 0, "run `make generate`"


def test_a_picture_of_other_rooms_is_not_current(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "architecture.md"
    page.write_text(rooms.PAGE.read_text().replace("--> room_storage", "--> room_text"))
    monkeypatch.setattr(rooms, "PAGE", page)
    assert rooms.main(["--check"]) == 1


def test_the_architecture_page_has_a_row_for_every_room_and_no_other() -> None:
    table = rooms.PAGE.read_text().partition("| room |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `([\w.]+?)/?` \|", table, re.MULTILINE)
    assert sorted(name.removesuffix(".py") for name in named) == sorted(rooms.rooms())


def test_every_module_that_the_architecture_page_names_is_there() -> None:
    named = set(re.findall(r"`([\w/]+/\w+\.py)`", rooms.PAGE.read_text()))
    assert len(named) > 20
    assert [
        name for name in named if not ((rooms.LAYER / name).exists() or (ROOT / name).exists())
    ] == []


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
