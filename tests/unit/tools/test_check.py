"""`python -m parley.tools.check`: what a deployer is told of the file before it is deployed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from parley.tools.check import check_catalog, main

TOOLS = Path(__file__).parents[3] / "tools"


def uncommented(text: str) -> str:
    """The examples of the file, as they are once the marks of their comments are gone."""
    blocks = text.split("\n\n")[1:]
    return "\n".join(block.partition("\n#\n")[2].replace("# ", "") for block in blocks)


def test_the_file_that_comes_with_parley_declares_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(TOOLS / "tools.toml")]) == 0
    assert capsys.readouterr().out.endswith("tools.toml: no tool is declared.\n")


def test_every_example_in_it_works_once_it_is_no_comment(tmp_path: Path) -> None:
    file = tmp_path / "tools.toml"
    file.write_text(uncommented((TOOLS / "tools.toml").read_text()))
    found = check_catalog(file, languages=("en",))
    assert [(spec.name, spec.kind) for spec in found.specs] == [
        ("order_status", "lambda"),
        ("send_letter", "http"),
        ("show_map", "client"),
        ("end_session", "built_in"),
        ("set_language", "built_in"),
        ("skip_turn", "built_in"),
    ]
    assert [server.name for server in found.servers] == ["shop"]


def test_an_example_has_few_lines() -> None:
    text = uncommented((TOOLS / "tools.toml").read_text())
    assert all(len(table.strip().splitlines()) <= 6 for table in text.split("\n["))
    assert tomllib.loads(text).keys() == {
        "order_status",
        "send_letter",
        "show_map",
        "mcp",
        "built_in",
    }


def test_the_demo_books_a_table_with_a_function_that_may_be_asked_again() -> None:
    found = check_catalog(TOOLS / "demo.toml", languages=("en",))
    book, status, note, end = found.specs
    assert (book.name, book.target, book.effect) == ("book_table", "book-table", "idempotent")
    assert (status.name, status.target, status.effect) == ("order_status", "book-table", "read")
    assert (note.name, note.kind) == ("show_note", "client")
    assert end.name == "end_session"
    assert book.sentences("de") == ["Ich reserviere."]


def test_what_is_declared_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_TOOL_HOSTS", "crm:8000, shop")
    file = tmp_path / "mine.toml"
    file.write_text(
        "[a]\ndescription = 'x'\nhttp = 'http://crm:8000/'\nsecret = 'x'\n"
        "[mcp.shop]\nurl = 'http://shop/mcp'\neffect = 'read'\n"
    )
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: a (http, write), tools of shop (mcp, read).\n"


def test_mistakes_are_said_one_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[a]\n[b]\n")
    assert main([str(file)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": description")[0] for line in said] == ["mine.toml: a", "mine.toml: b"]


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "usage: "), (["/no/such.toml"], "/no/such.toml: No such file")]
)
def test_a_command_without_a_file_says_so(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(said)
