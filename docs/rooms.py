"""Draw the rooms of the layer and their imports, and find imports that run in a circle.

`python docs/rooms.py` writes the picture into docs/architecture.md. `--check` reports whether the
picture is current, and writes nothing.

The members of a package are its modules and its packages. In every package, at every depth, the
imports between the members run in no circle. So each member has a floor: one above the highest
floor that it imports.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
LAYER = ROOT / "layers" / "parley" / "parley"
BEGIN, END = "<!-- rooms: drawn by docs/rooms.py -->", "<!-- /rooms -->"

_SPACING = """\
---
config:
  flowchart:
    nodeSpacing: 40
    rankSpacing: 36
    padding: 8
    subGraphTitleMargin: {top: 2, bottom: 8}
---"""
"""With Mermaid's own spacing the picture is taller than a screen, and arrows cross the titles."""

Graph = dict[str, set[str]]
"""For each member, the members that it imports."""


@dataclass(frozen=True, slots=True)
class Import:
    """One module imports another; both by their full names, `a.b.c`."""

    importer: str
    imported: str


def packages(root: Path = ROOT) -> Iterator[Path]:
    """Yield the folder of every package of the repository, without tests and built files."""
    left_out = {"node_modules", "tests", "build", "benchmarks"}
    for init in sorted(root.rglob("__init__.py")):
        parts = init.relative_to(root).parts
        if any(part in left_out or part.startswith(".") for part in parts):
            continue
        if not (init.parent.parent / "__init__.py").exists():
            yield init.parent


def modules(package: Path) -> dict[str, Path]:
    """Return the modules of a package by full name. An `__init__` has the name of its folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


@functools.cache
def imports(package: Path) -> tuple[Import, ...]:
    """Return the imports between the modules of a package, those inside functions included."""
    known = modules(package)
    found: set[tuple[str, str]] = set()
    for name, path in known.items():
        for imported in _names(ast.parse(path.read_text()), name, path):
            if imported in known and imported != name:
                found.add((name, imported))
    return tuple(Import(*pair) for pair in sorted(found))


def _names(tree: ast.AST, name: str, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = len(parts) - node.level + (path.name == "__init__.py")
                base = ".".join([*parts[:kept], *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}"
            yield base


def members(package: str, found: Iterable[Import], names: Iterable[str]) -> Graph:
    """Return the imports between the direct members of `package`, for example `parley.turn`."""
    graph: Graph = {}
    for name in names:
        if (member := _member(package, name)) is not None:
            graph.setdefault(member, set())
    for each in found:
        importer, imported = _member(package, each.importer), _member(package, each.imported)
        if importer and imported and importer != imported:
            graph[importer].add(imported)
    return graph


def _member(package: str, name: str) -> str | None:
    if not name.startswith(f"{package}."):
        return None
    return name.removeprefix(f"{package}.").partition(".")[0]


def circles(package: Path) -> list[list[str]]:
    """Return one circle of imports for each package that has one."""
    names, found = modules(package), imports(package)
    inner = {name for name, path in names.items() if path.name == "__init__.py"}
    rounds = []
    for each in sorted(inner):
        try:
            TopologicalSorter(members(each, found, names)).prepare()
        except CycleError as error:
            rounds.append([f"{each}.{member}" for member in error.args[1]])
    return rounds


def floors(graph: Graph) -> dict[str, int]:
    """Return the floor of each member: 1 for a member that imports no other.

    Raises:
        CycleError: the imports run in a circle.
    """
    floor: dict[str, int] = {}
    for member in TopologicalSorter(graph).static_order():
        floor[member] = 1 + max((floor[below] for below in graph[member]), default=0)
    return floor


def rooms() -> Graph:
    """Return the imports between the rooms of the layer.

    Modules of `parley/` itself that import no room count as one room, `parley`.
    """
    graph = members("parley", imports(LAYER), modules(LAYER))
    own = {name for name in graph if (LAYER / f"{name}.py").exists()}
    while above := {name for name in own if graph[name] - own}:
        own -= above

    def room(name: str) -> str:
        return "parley" if name in own else name

    merged: Graph = {}
    for importer, imported in graph.items():
        targets = merged.setdefault(room(importer), set())
        targets |= {room(name) for name in imported} - {room(importer)}
    return merged


def picture() -> str:
    """Return the rooms by floor as a Mermaid picture, without arrows that others imply."""
    graph = rooms()
    floor = floors(graph)
    lines = ["```mermaid", _SPACING, "flowchart TB"]
    for level in sorted(set(floor.values()), reverse=True):
        lines.append(f'  subgraph floor{level}["{level}"]')
        here = sorted(room for room in graph if floor[room] == level)
        lines += [f"    {_id(room)}[{_label(room)}]" for room in here]
        lines.append("  end")
    for importer in sorted(graph, key=lambda room: (-floor[room], room)):
        lines += [
            f"  {_id(importer)} --> {_id(below)}" for below in sorted(_direct(graph, importer))
        ]
    lines.append("```")
    return "\n".join(lines)


def _label(room: str) -> str:
    return f"{room}.py" if (LAYER / f"{room}.py").exists() else f"{room}/"


def _id(room: str) -> str:
    return f"room_{room}"  # "http" and others would do, "end" would not


def _direct(graph: Graph, importer: str) -> set[str]:
    """Return the imports of a room, without those that another of its imports reaches."""
    implied: set[str] = set()
    for below in graph[importer]:
        implied |= _reached(graph, below)
    return graph[importer] - implied


def _reached(graph: Graph, room: str) -> set[str]:
    found: set[str] = set()
    for below in graph[room]:
        found |= {below} | _reached(graph, below)
    return found


def drawn(page: str) -> str:
    """Return the page with the current picture between its two markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{picture()}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the picture. With `--check`, report whether it is current."""
    page = PAGE.read_text()
    if "--check" in arguments:
        if drawn(page) == page:
            return 0
        print("docs/architecture.md: the picture of the rooms is not current: make generate")
        return 1
    PAGE.write_text(drawn(page))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
