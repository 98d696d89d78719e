"""What `make run` says, in a terminal of 80 columns and with a model of one's own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dev import models
from dev.errors import CannotRun
from dev.providers import Providers, variable
from dev.run import (
    CHOSEN_PARAMETERS,
    SECRETS,
    in_variables,
    is_as_committed,
    shows_demo_tools,
    tools_shown,
    why_no_demo,
    without_natural,
)
from dev.tool_secrets import read_tool_secrets
from parley_client.conversation import Conversation
from tests.e2e.stack import ROOT, Standins

pytestmark = pytest.mark.timeout(180)
COLUMNS = 80
CONTROLS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
CHOSEN = (*SECRETS, "LLM_BASE_URL", "VOICE_ID", "SYSTEM_PROMPT", "AUTH_MODE")
LAST = "Ctrl-C stops everything."
# A shell that starts the tests in the background has its children ignore SIGINT.
HEARS_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('dev', run_name='__main__', alter_sys=True)"
)


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    return {**kept, "TERM": "xterm", **variables}


def command(logs: Path, pair: str = "small") -> list[str]:
    options = ["--port", "0", "--logs", str(logs), "--db-path", str(logs), "--standins", pair]
    return [sys.executable, "-c", HEARS_CTRL_C, *options]


class Screen:
    """A terminal that is 80 columns wide."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.said = ""

    def read_until(self, text: str) -> None:
        """Read on until a text has come, or all has."""
        while text not in self.said:
            try:
                part = os.read(self._terminal, 65536)
            except OSError:  # Linux: nobody has the other end any more
                part = b""
            if not part:
                return
            self.said += part.decode()

    @property
    def lines(self) -> list[str]:
        """Everything that has ever been in a line; one that changes in place is several."""
        return re.split(r"\r\n|\r|\n", CONTROLS.sub("", self.said))


@pytest.fixture
def logs() -> Iterator[Path]:
    """A folder whose name leaves room in 80 columns, as that of pytest may not."""
    with tempfile.TemporaryDirectory(prefix="logs-", dir="/tmp") as folder:
        yield Path(folder)


def test_nobody_waits_before_a_silent_terminal_or_reads_a_broken_line(logs: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    # Speech and model are the stand-ins', so that a conversation is held.
    pair = "natural" if models.are_here() else "small"
    with subprocess.Popen(
        command(logs, pair), cwd=ROOT, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        screen = Screen(ours)
        try:
            screen.read_until(LAST)
            process.send_signal(signal.SIGINT)
            screen.read_until("Stopped.")
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(ours)
    steps = [line for line in screen.lines if re.search(r" … \d+\.\d s$", line)]
    assert [re.sub(r" … .*", "", step) for step in steps] == [
        "Starting the stand-ins: voice, recogniser, language model",
        "Starting the emulator",
        "Starting the emulator: reading template.yaml",
        "Starting the emulator: starting the database and the other services",
        "Starting the emulator: creating the tables and loading 9 functions",
    ]
    assert "   heard   What is my name?" in screen.lines
    ears = {"natural": "Moonshine", "small": "PocketSphinx"}[pair]
    assert (
        f"Ears:           a stand-in for ElevenLabs: {ears} (set ELEVENLABS_API_KEY)"
        in screen.lines
    )
    demo = "the demo's (tools/demo.toml): Book a table for two at eight."
    assert f"Tools:          {demo}" in screen.lines
    assert any(line.startswith("The page:       http://localhost:") for line in screen.lines)
    assert [line for line in screen.lines if len(line) > COLUMNS] == []


@contextlib.contextmanager
def run(logs: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """A run, until this is left: what it has said when everything serves."""
    with subprocess.Popen(
        command(logs), cwd=ROOT, env=environment(**variables), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if line.startswith(LAST):
                    break
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()


def chats(standins: Standins) -> list[dict[str, Any]]:
    """What the model was asked, oldest first."""
    return [r["body"] for r in standins.llm.requests() if "chat/completions" in r["path"]]


async def test_a_system_prompt_makes_an_agent_and_a_key_is_not_spent_on_a_demo(
    standins: Standins, tmp_path: Path
) -> None:
    model = {
        "LLM_BASE_URL": standins.llm_url,
        "LLM_API_KEY": "standin-key",
        "LLM_MODEL": "another",
        "SYSTEM_PROMPT": "You sell tickets for the opera in Graz.",
    }
    seen = len(chats(standins))
    with run(tmp_path, model) as said:
        assert "Mind:           another" in said
        assert "No conversation is held, because LLM_API_KEY would pay for it." in said
        assert "make run DEMO=yes" in " ".join(said.split())
        assert "heard" not in said
        url = re.search(r"The WebSocket: +(\S+)", said)
        assert url is not None
        assert len(chats(standins)) == seen
        async with Conversation.connect(url[1]) as conversation:
            await conversation.say("Which seats are left?")
    asked = chats(standins)[-1]["messages"]
    assert asked[0]["role"] == "system"
    assert "You sell tickets for the opera in Graz." in asked[0]["content"]
    assert asked[-1]["content"] == "Which seats are left?"


@pytest.mark.parametrize(
    ("demo", "variables", "expected"),
    [
        (None, {}, ""),
        (None, {"ELEVENLABS_API_KEY": "", "LLM_API_KEY": ""}, ""),
        (None, {"LLM_BASE_URL": "http://localhost:11434/v1"}, ""),
        (None, {"ELEVENLABS_API_KEY": "k"}, "ELEVENLABS_API_KEY would pay"),
        (None, {"LLM_API_KEY": "k"}, "LLM_API_KEY would pay"),
        (
            None,
            {"ELEVENLABS_API_KEY": "k", "LLM_API_KEY": "k"},
            "ELEVENLABS_API_KEY and LLM_API_KEY would pay",
        ),
        ("yes", {"ELEVENLABS_API_KEY": "k", "LLM_API_KEY": "k"}, ""),
        ("no", {}, "as asked"),
        ("no", {"LLM_API_KEY": "k"}, "as asked"),
        ("yes", {"AUTH_MODE": "secret"}, "AUTH_MODE wants a token"),
        (None, {"AUTH_MODE": "secret", "PARLEY_TOKEN": "t"}, ""),
    ],
)
def test_a_conversation_is_held_where_it_costs_nothing(
    demo: str | None, variables: dict[str, str], expected: str
) -> None:
    why_not = why_no_demo(demo, variables, Providers.chosen(variables, {}).paid_by)
    assert bool(why_not) is bool(expected)
    assert expected in why_not


def test_the_language_of_the_desktop_is_not_that_of_a_session() -> None:
    """Ubuntu sets `LANGUAGE=en_US:en`, which is no language of the template's."""
    variables = {variable(parameter) for parameter in CHOSEN_PARAMETERS}
    assert "LANGUAGE" not in variables
    assert "SPOKEN_LANGUAGE" in variables


def test_an_advice_names_what_a_run_is_told() -> None:
    advice = "Language: 'pl' is not heard: choose another, or another Transcriber; check LlmApiKey."
    said = in_variables(advice, ("Language", "LanguageDetection", "Transcriber", "LlmApiKey"))
    assert said == (
        "SPOKEN_LANGUAGE: 'pl' is not heard: choose another, or another EARS=; check LLM_API_KEY."
    )


@pytest.mark.parametrize(
    ("text", "responder", "shown"),
    [
        (None, "openai_chat", True),
        ("# [a]\n", "anthropic", True),
        ("# [a]\n", "n8n", False),
        ("[a]\n", "openai_chat", False),
        ("[a\n", "openai_chat", False),
    ],
)
def test_the_tools_of_the_demo_are_there_unless_the_developer_declares_some(
    tmp_path: Path, text: str | None, responder: str, shown: bool
) -> None:
    file = tmp_path / "tools.toml"
    if text is not None:
        file.write_text(text)
    assert shows_demo_tools(file, responder) is shown


def test_a_wrong_file_of_tools_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dev.run.TOOLS", tmp_path / "tools.toml")
    (tmp_path / "tools.toml").write_text("[show_map]\nclient = true\n")
    told = tools_shown(Providers.chosen({}, {}), {})
    assert told.startswith("Tools:          none, because of this:\ntools.toml: show_map: desc")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "secrets.json cannot be read: No such file or directory."),
        ("whsec_", 'secrets.json: expected a JSON object such as {"name": "whsec_…"}.'),
        ('{"shop": 7}', 'secrets.json: expected a JSON object such as {"name": "whsec_…"}.'),
    ],
)
def test_what_tools_sign_with_is_read_from_a_file(
    text: str | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CannotRun, match=re.escape(problem)):
        read_tool_secrets({"TOOL_SECRETS": str(file)})
    file.write_text('{"shop": "whsec_"}')
    assert read_tool_secrets({"TOOL_SECRETS": str(file)}) == '{"shop": "whsec_"}'
    assert read_tool_secrets({}) == ""


def test_a_template_is_looked_at_again_only_if_it_is_not_as_committed(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Resources: {}\n")
    assert not is_as_committed(template)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert not is_as_committed(template)
    subprocess.run([*git, "add", "template.yaml"], check=True)
    assert not is_as_committed(template)
    subprocess.run([*git, "commit", "--quiet", "--message", "a"], check=True)
    assert is_as_committed(template)
    template.write_text("Resources: {A: {}}\n")
    assert not is_as_committed(template)


def test_a_run_without_the_models_says_in_a_sentence_why_and_what_to_do() -> None:
    assert without_natural("No route to host") == (
        "A part of the natural voice and recogniser is missing: No route to host. The small ones "
        "stand in for it. The next run tries again; STANDINS=small does not."
    )
