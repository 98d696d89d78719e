"""The command line: what options mean, and what is said of one that is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from samwire.__main__ import main
from samwire.cli.options import options_of
from samwire.log_writer import LogWriter
from samwire.stack import Options
from samwire.template.intrinsics import TemplateError
from samwire_tests.conftest import CHAT

HELP_WITHIN_S = 0.5


def parsed(*line: str) -> Options:
    """The options of a stack that is not started."""
    return options_of(line, LogWriter(None, None))


def run(*line: str) -> int:
    """Run the command in this process; returns its exit code."""
    with mock.patch.dict(os.environ):  # the command forgets the developer's account
        try:
            return main(line)
        except SystemExit as ended:
            return int(str(ended.code))


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (("A=1", "B=2"), {"A": "1", "B": "2"}),
        (("A=1 B=2",), {"A": "1", "B": "2"}),
        (("A=1", "--parameter-overrides", "B=2"), {"A": "1", "B": "2"}),
        (("ParameterKey=A,ParameterValue=1,2", "ParameterKey=B,ParameterValue="),
         {"A": "1,2", "B": ""}),
        (("A=be brief, and = is no end",), {"A": "be brief, and = is no end"}),
        (("A='one two' B=\"3\"",), {"A": "one two", "B": "3"}),
        (('A={"b": 1}',), {"A": '{"b": 1}'}),
        (("A=it's",), {"A": "it's"}),
    ],
)  # fmt: skip
def test_parameters_are_given_as_sam_takes_them(
    words: tuple[str, ...], parameters: dict[str, str]
) -> None:
    assert parsed("--parameter-overrides", *words).parameters == parameters


def test_what_the_command_line_says_counts_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"A": "of the file", "B": 2}')
    options = parsed("--parameter-file", str(file), "--parameter-overrides", "A=of the line")
    assert options.parameters == {"A": "of the line", "B": "2"}
    options = parsed("--parameter-overrides", f"file://{file}", "A=of the line")
    assert options.parameters == {"A": "of the line", "B": "2"}


def test_short_names_are_those_of_sam(tmp_path: Path) -> None:
    variables = tmp_path / "variables.json"
    variables.write_text('{"Parameters": {"LEVEL": 3}}')
    options = parsed(
        *("-t", "other.yaml", "-p", "4000", "-s", str(tmp_path), "-n", str(variables), "--no-watch")
    )
    assert options.template == Path("other.yaml")
    assert options.port == 4000
    assert [(mount.prefix, mount.folder) for mount in options.mounts] == [("/", tmp_path)]
    assert options.environment == {"Parameters": {"LEVEL": "3"}}
    assert not options.lambda_options.reload
    assert parsed("--template-file", "other.yaml").template == Path("other.yaml")


@pytest.mark.parametrize("name", ["template.yaml", "template.yml", "template.json"])
def test_the_template_is_looked_for_as_sam_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert parsed().template == Path(name)


# --- mistakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not valid JSON"),
        (b"[]", "expected an object"),
        (b"\xff", "is not text in UTF-8"),
        (None, "cannot be read: No such file or directory"),
    ],
)
@pytest.mark.parametrize("option", ["--parameter-file", "--env-vars", "--ssm-parameters"])
def test_a_file_of_values_that_is_invalid_is_one_sentence(
    tmp_path: Path, option: str, content: bytes | None, said: str
) -> None:
    file = tmp_path / "values.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TemplateError, match=f"^{option}: [^\n]*{said}[^\n]*\\.$"):
        parsed(option, str(file))


def test_variables_must_be_those_of_a_function(tmp_path: Path) -> None:
    file = tmp_path / "variables.json"
    file.write_text('{"NAME": "value"}')
    with pytest.raises(TemplateError, match=r"^--env-vars: NAME in \S+ must be an object, "):
        parsed("--env-vars", str(file))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "COMMAND: expected start or validate; samwire --help says more."),
        ("strat", "COMMAND: invalid choice: 'strat' (choose from "),
        ("start --port abc", "--port: must be a whole number from 0 to 65535, not 'abc'."),
        ("start -p 70000", "--port: must be a whole number from 0 to 65535, not '70000'."),
        ("start --port", "--port: expected one argument."),
        ("start --prewarm -1", "--prewarm: must be a whole number of at least 0, not '-1'."),
        ("start --concurrency 0", "--concurrency: must be a whole number of at least 1, not '0'."),
        ("start --idle-timeout 0", "--idle-timeout: must be a number above 0, not '0'."),
        ("start --retry-delay nan", "--retry-delay: must be a number of at least 0, not 'nan'."),
        ("start --region Europe", "--region: must be a region such as eu-central-1, not 'Europe'."),
        ("start -s nosuch", "--static-dir: must be a folder that exists, as DIR or /PREFIX=DIR, "),
        ("start -s /a=. -s /b=. -s /a/=..", "--static-dir: 2 folders have the prefix /a/. "),
        ("start -s /{a=.", "--static-dir: expected a prefix without braces, got '/{a/'."),
        ("start -p 4000 --tls-port 4000", "--tls-port: must be another port than --port, not "),
        ("start --latency nosuch", "--latency: nosuch cannot be read: No such file or directory."),
        ("start --latency {\"post\":1}",
         "--latency: expected JSON with seed, handshake_ms, message_ms, invoke_ms, event_ms, "
         "cold_start_ms, post_ms, dynamodb_ms. Object contains unknown "),
        ("start --preload all", "--preload: invalid choice: 'all' (choose from "),
        ("start --faults nosuch", "--faults: nosuch cannot be read: No such file or directory."),
        ("start --dynamodb-endpoint x", "--dynamodb-endpoint: must be a URL that begins with "),
        ("start --debug-prot 3", "--debug-prot: samwire start has no such option; "),
        ("start --warm-containers EAGER", "--warm-containers: samwire start has no such option; "),
        ("start --statc x",
         "--statc: samwire start has no such option; did you mean --static-dir?\n"),
        ("validate --port 1", "--port: samwire validate has no such option; "),
        ("start here", "here: samwire start has no such argument; "),
        ("start --parameter-overrides A", "--parameter-overrides: expected KEY=VALUE, "),
        ("start --parameter-overrides =1", "--parameter-overrides: expected KEY=VALUE, "),
        ("start --log-file /nosuch/file", "--log-file: /nosuch/file cannot be written: "),
        ("start --host nosuch.invalid", "--host: nosuch.invalid is no address of this machine."),
        ("start --host 192.0.2.1", "--host: 192.0.2.1 is no address of this machine."),
        ("start --assume x", "--assume: there is no 'x'. There are: binary-post, "),
        ("start -t nosuch.yaml", "There is no template nosuch.yaml. Name one with --template."),
        ("validate -t nosuch.yaml", "There is no template nosuch.yaml. Name one with --template."),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_that_names_the_option_and_what_is_allowed(
    capsys: pytest.CaptureFixture[str], line: str, sentence: str
) -> None:
    assert run(*line.split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith(sentence)
    assert said.err.count("\n") == 1
    assert said.out == ""


# --- samwire validate -------------------------------------------------------------------------


def test_a_valid_template_is_told_with_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    line = ("validate", "--no-lint", "-t", str(CHAT), "--parameter-overrides", "Secret=x")
    assert run(*line) == 0
    said = capsys.readouterr()
    assert "Note: Stream: AWS::Kinesis::Stream is not served here.\n" in said.out
    assert said.out.endswith(f"{CHAT} is valid: 1 WebSocket API, 4 functions, 1 table.\n")
    assert said.err == ""


def test_what_is_wrong_with_a_template_is_told_as_at_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("validate", "--no-lint", "-t", str(CHAT)) == 2
    said = capsys.readouterr()
    assert said.err.startswith("The parameter Secret has no value.")
    assert said.out == ""


# --- help -------------------------------------------------------------------------------------


def test_help_answers_within_half_a_second() -> None:
    """A busy machine adds to a time and takes nothing off: the quickest of some counts."""
    quickest = HELP_WITHIN_S
    for _ in range(10):
        began = time.monotonic()
        command = [sys.executable, "-m", "samwire", "start", "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "--parameter-overrides" in shown
        quickest = min(quickest, time.monotonic() - began)
        if quickest < HELP_WITHIN_S:
            break
    assert quickest < HELP_WITHIN_S


def test_help_imports_nothing_that_serves() -> None:
    code = (
        "import sys, json\nfrom samwire.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(json.dumps(sorted({'aiohttp', 'asyncio', 'boto3', 'moto', 'samtranslator'}"
        " & set(sys.modules))))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout.splitlines()[-1]) == []
