"""The files of agents: where they are found, and what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from parley.agents.check import check_agents, main
from parley.agents.file import AgentFiles
from parley.errors import ConfigurationError


def write(folder: Path, name: str, text: str) -> str:
    """Write the file of an agent; return the folder that has its folder."""
    agents = folder / "agents"
    agents.mkdir(parents=True, exist_ok=True)
    (agents / f"{name}.toml").write_text(text)
    return str(folder)


def test_a_file_says_who_an_agent_is(tmp_path: Path) -> None:
    text = """
        public = true
        prompt = "You book tables."
        greeting = "Good evening."
        tools = ["book_table"]
        silence_prompt = {en = "Are you there?", de = "Sind Sie noch da?"}
        [settings]
        voice = "v1"
        speed = 0.9
    """
    found = AgentFiles([write(tmp_path, "host", text)]).read("host")
    assert found is not None
    assert (found.public, found.prompt, found.tools) == (True, "You book tables.", ["book_table"])
    assert (found.settings.voice, found.settings.speed) == ("v1", 0.9)
    assert found.silence_prompt == {"en": "Are you there?", "de": "Sind Sie noch da?"}


def test_the_first_folder_that_has_a_name_counts(tmp_path: Path) -> None:
    folders = [
        write(tmp_path / "a", "host", 'prompt = "First."'),
        write(tmp_path / "b", "host", 'prompt = "Second."'),
        str(tmp_path / "missing"),
    ]
    found = AgentFiles(folders).read("host")
    assert found is not None
    assert found.prompt == "First."


def test_files_are_found_where_python_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write(tmp_path, "host_of_a_path", 'prompt = "Hello."'))
    assert "host_of_a_path" in AgentFiles().names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prompt = ", "it is not TOML"),
        ("prompt = 7", "`$.prompt`"),
        ('prompt = " "', "prompt"),
        ('promt = "x"', "unknown field `promt`"),
        ('prompt = "' + "x" * 8_001 + '"', "`$.prompt`"),
        ('greeting = "' + "x" * 1_001 + '"', "`$.greeting`"),
        ('tools = ["a b"]', "`$.tools[0]`"),
        ('public = "yes"', "`$.public`"),
        ("[settings]\nspeed = 9", "`$.settings.speed`"),
        ('[settings]\nvioce = "v"', "settings.vioce"),
        ("[settings]\nrecord = true", "settings.record"),
        ('silence_prompt = ""', "`$.silence_prompt`"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path: Path, text: str, told: str) -> None:
    folder = write(tmp_path, "host", text)
    with pytest.raises(ConfigurationError) as wrong:
        check_agents(folder)
    assert str(wrong.value).startswith("agents/host.toml: ")
    assert told in str(wrong.value)


def test_a_name_that_no_client_could_send_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"agents/the host\.toml"):
        check_agents(write(tmp_path, "the host", 'prompt = "x"'))


def test_all_files_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, "b", 'prompt = "x"')
    write(tmp_path, "a", "public = true")
    assert check_agents(folder) == ["a", "b"]
    assert main([folder]) == 0
    assert capsys.readouterr().out == f"{folder}/agents: a, b.\n"


def test_a_deployment_without_agents_does_not_load_what_reads_them() -> None:
    program = (
        "import sys, parley.app.turn_runner, parley.websocket.message_handler; "
        "print('tomllib' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
