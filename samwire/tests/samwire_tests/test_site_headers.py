"""The headers that a folder of static files asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from samwire.gateway.options import OptionError
from samwire.gateway.site_headers import headers_of, read_rules


def rules_of(folder: Path, text: str, prefix: str = "/") -> dict[str, dict[str, str]]:
    (folder / "_headers").write_text(text)
    rules = read_rules(folder, prefix)
    return {path: headers_of(path, rules) for path in ("/", "/a.js", "/sub/a.js", "/sub/b.css")}


def test_a_folder_without_the_file_asks_for_nothing(tmp_path: Path) -> None:
    assert read_rules(tmp_path, "/") == []


def test_a_star_stands_for_anything_and_the_later_rule_counts(tmp_path: Path) -> None:
    text = "# why\n/*\n  X-A: 1\n  X-B: x: y\n\n/sub/*\n  X-A: 2\n/a.js\n\tX-C: 3\n"
    assert rules_of(tmp_path, text) == {
        "/": {"X-A": "1", "X-B": "x: y"},
        "/a.js": {"X-A": "1", "X-B": "x: y", "X-C": "3"},
        "/sub/a.js": {"X-A": "2", "X-B": "x: y"},
        "/sub/b.css": {"X-A": "2", "X-B": "x: y"},
    }


def test_the_paths_are_those_below_where_the_folder_is_served(tmp_path: Path) -> None:
    asked = rules_of(tmp_path, "/*.js\n  X-A: 1\n", prefix="/sub/")
    assert [path for path, headers in asked.items() if headers] == ["/sub/a.js"]


def test_a_dot_is_a_dot(tmp_path: Path) -> None:
    (tmp_path / "_headers").write_text("/a.js\n  X-A: 1\n")
    assert headers_of("/axjs", read_rules(tmp_path, "/")) == {}


@pytest.mark.parametrize("text", ["X-A: 1\n", "  X-A: 1\n", "/*\n  X-A\n", "/*\nX-A: 1\n"])
def test_a_line_that_is_neither_path_nor_header_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(OptionError, match=r"_headers, line [12]: expected a path"):
        rules_of(tmp_path, text)
