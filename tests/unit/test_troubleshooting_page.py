"""docs/troubleshooting.md: each code and each log line has a cause and what mends it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from parley.auth.errors import AccessDenied, DenialCode
from parley.errors import ErrorCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
LIBRARY = ROOT / "layers" / "parley" / "parley"
CLIENT = ROOT / "client" / "js"
LOGGERS = {"log", "_log", "_LOG", "logger", "_logger", "warn"}
FORWARDERS = {"log", "_log", "warn", "note"}
"""Functions that hand on the name of a line which their callers give."""
NAMED_ELSEWHERE = {
    "providers/openai_chat/responder.py": (
        "providers/openai_chat/dialect.py",
        r'_Lesson\(\s+"(\w+)"',
    ),
    "providers/replies/bad_calls.py": (
        "providers/replies/bad_calls.py",
        r'"(leaked_call|bad_call)"',
    ),
}
"""Files where a line's name is no constant at its call, and where its names are."""
ONLY_WELL = {
    "connected",
    "disconnected",
    "answered",
    "token_made",
    "turn_ended",
    "session_ended",
    "woken",
}


def section(title: str) -> str:
    """What is below a heading, up to the next of its level."""
    marks = re.search(rf"^(#+) {title}$", PAGE, re.MULTILINE)
    assert marks, title
    rest = PAGE[marks.end() :]
    return re.split(rf"^#{{2,{len(marks[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables in a text, without their heads."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in cells] for cells in lines]


def first_names(text: str) -> list[str]:
    """What the first cells name as code, heads left out."""
    named = [re.findall(r"`([^`]+)`", cells[0]) for cells in rows(text)]
    return [name for names in named for name in names if name not in ("code", "line")]


def is_log(call: ast.Call) -> bool:
    """Whether a call writes a line."""
    called = call.func
    if isinstance(called, ast.Name):
        return called.id in LOGGERS
    if not isinstance(called, ast.Attribute):
        return False
    if called.attr in ("info", "warning", "error", "exception", "debug"):
        owner = called.value
        name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        return name in LOGGERS
    return called.attr in LOGGERS


def lines_of(path: Path) -> Iterator[str | None]:
    """The names of the lines that a file writes; None for one that is no constant."""
    found: list[ast.AST] = [ast.parse(path.read_text())]
    while found:
        node = found.pop()
        if isinstance(node, ast.FunctionDef) and node.name in FORWARDERS:
            continue
        found += ast.iter_child_nodes(node)
        if isinstance(node, ast.Call) and node.args and is_log(node):
            first = node.args[0]
            is_name = isinstance(first, ast.Constant) and isinstance(first.value, str)
            yield str(ast.literal_eval(first)).partition(":")[0] if is_name else None


def sources() -> list[Path]:
    return [*(ROOT / "layers").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]


def log_lines() -> set[str]:
    """The names of all lines that the deployed code writes."""
    found = set()
    for path in sources():
        names = set(lines_of(path))
        if None in names:
            file = path.relative_to(LIBRARY).as_posix()
            assert file in NAMED_ELSEWHERE, f"{file} logs lines whose names this test does not know"
            where, pattern = NAMED_ELSEWHERE[file]
            named = re.findall(pattern, (LIBRARY / where).read_text())
            assert named, where
            names |= set(named)
        found |= {name for name in names if name is not None}
    return found


def client_codes() -> set[str]:
    """The codes of the browser client's own problems."""
    source = "\n".join(path.read_text() for path in CLIENT.glob("*.js"))
    made = re.findall(r'new Problem\(\s*"(\w+)"', source)
    chosen = re.findall(r'\bcode(?: =|:) "(\w+)"', source)
    final = re.findall(r'^  \d{4}: \["(\w+)"', source, re.MULTILINE)
    return {*made, *chosen, *final}


def test_every_log_line_has_a_row() -> None:
    named = first_names(section("Log lines"))
    assert len(named) == len(set(named))
    assert set(named) == log_lines() - ONLY_WELL
    assert all(f"`{name}`" in section("A function") for name in ONLY_WELL)


def test_every_reason_of_a_refusal_has_a_row_with_its_status() -> None:
    found = {cells[0].strip("`"): cells[1] for cells in rows(section("Why nobody is let in"))[1:]}
    assert found == {code: str(int(AccessDenied(code).status)) for code in get_args(DenialCode)}


def test_every_code_of_the_browser_client_has_a_row() -> None:
    assert set(first_names(section("Codes of the browser client"))) == client_codes()


def test_the_page_of_the_client_says_when_each_of_its_codes_comes() -> None:
    page = (ROOT / "docs" / "client-behaviour.md").read_text()
    errors = page.partition("\n## Errors\n")[2].partition("\n## ")[0]
    codes = client_codes() - set(get_args(ErrorCode))
    assert {code for code in codes if f"`{code}`" not in errors} == set()


@pytest.mark.parametrize("cells", rows(PAGE), ids=lambda cells: str(cells[0].strip("`")))
def test_no_cell_is_empty(cells: list[str]) -> None:
    assert all(cells)
