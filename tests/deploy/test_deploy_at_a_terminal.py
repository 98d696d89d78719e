"""`make deploy` as somebody runs it: at a terminal, with the real SAM CLI, against moto.

What is typed is not shown, handed on in no command line and left in no file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.__main__ import main
from deploy.package import Package
from tests.deploy.aws import (
    BUCKET,
    REGION,
    ROOT,
    SAM,
    WITHOUT_CODE,
    Aws,
    deploy,
    nobody,
    running_aws,
    small_template,
)
from tests.deploy.terminal import INTERRUPT, Terminal, terminal

KEY = "sk_0123456789abcdef"
LLM_KEY = "sk-proj-fedcba9876543210"
END_OF_INPUT = "\x04"
QUESTIONS = {
    "Name of the stack": "",
    r"Who transcribes .*\[": "",
    r"Who replies .*\[": "",
    r"Who speaks .*\[": "",
    "ElevenLabs API key": KEY,
    "API key of the language model": LLM_KEY,
    r"Who may connect \[": "",
    "Pages that may connect": "",
}
"""What is asked before the last question, and what is answered."""
PROVIDERS = {"Transcriber": "elevenlabs", "Responder": "openai_chat", "Synthesizer": "elevenlabs"}
URL = "wss://a1b2c3.execute-api.eu-west-1.amazonaws.com/dev"
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not SAM.exists(), reason="the SAM CLI is not installed: run `make build`"),
    # moto says so of each kind of resource that it does not make.
    pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with running_aws() as found:
        yield found


@pytest.fixture
def aws(server: Aws) -> Aws:
    server.reset()
    return server


@contextmanager
def deploying(
    environment: dict[str, str], template: Path, *arguments: str, command: str = "deploy"
) -> Iterator[Terminal]:
    """The program at a terminal, in front of its first question."""
    given = [command, "--s3-bucket", BUCKET, "--template", str(template), *arguments]
    with terminal(deploy(*given), ROOT, environment) as shown:
        yield shown


def answer_all(shown: Terminal) -> None:
    """Answer everything but the last question."""
    for question, answer in QUESTIONS.items():
        shown.answer(question, answer)


class Watch:
    """Looks for a text in the command lines and files of this machine, again and again.

    Attributes:
        found: where it was.
    """

    def __init__(self, text: str, folder: Path) -> None:
        self._text = text.encode()
        self._folder = folder
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.found: set[str] = set()
        self.looked = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            self._look()

    def _look(self) -> None:
        self.looked += 1
        lines = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, check=True)
        if self._text in lines.stdout:
            self.found.add("a command line")
        for path in self._folder.rglob("*"):
            try:
                if path.is_file() and self._text in path.read_bytes():
                    self.found.add(str(path))
            except OSError:
                continue  # gone meanwhile


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps")
def test_a_few_questions_and_it_is_deployed(aws: Aws, tmp_path: Path) -> None:
    """And no key is on the screen, in a command line or in a file."""
    with (
        Watch(KEY, tmp_path) as watch,
        deploying(aws.environment(tmp_path), small_template(tmp_path)) as shown,
    ):
        shown.expect("Account 123456789012")
        shown.expect(f"Region {REGION}")
        answer_all(shown)
        shown.expect(r"resources: 1 function, 1 role, 1 table|resources: .*1 table")
        shown.expect(r"\$0\.40 a month while nobody talks, and \$0\.\d+ of AWS for a minute")
        shown.expect("docs/deployer-policy.json")
        shown.answer(r"Deploy it\? \[Y/n", "")
        shown.expect(URL)
        shown.expect("talk --url wss://")
        shown.expect(r"localhost:3001/\?url=wss://")
        shown.expect("To remove it: make remove ARGS=")
        shown.expect("The table with the conversations stays")
        shown.expect(f"aws dynamodb delete-table --region {REGION} --table-name parley-Table")
        shown.expect("SAM's bucket stays")
        shown.expect("responder  works")
        assert shown.exit_code() == 0
    assert aws.stacks() == {"parley": "CREATE_COMPLETE"}
    assert aws.parameters() == {
        **PROVIDERS,
        "ElevenLabsApiKey": KEY,
        "LlmApiKey": LLM_KEY,
        "AuthMode": "off",
        "AllowedOrigins": "*",
    }
    assert watch.looked > 5
    assert watch.found == set()
    assert KEY not in shown.shown
    assert LLM_KEY not in shown.shown


def test_a_wrong_answer_is_asked_again_with_what_is_allowed(aws: Aws, tmp_path: Path) -> None:
    with deploying(aws.environment(tmp_path), small_template(tmp_path)) as shown:
        shown.answer("Name of the stack", "1 name")
        shown.answer("Wanted: letters, digits and -, a letter first", "mine")
        shown.answer("Who transcribes", "me")
        shown.answer("Answer elevenlabs, cartesia, deepgram or whisper", "")
        shown.answer("Who replies", "")
        shown.answer("Who speaks", "")
        shown.answer("ElevenLabs API key", "")
        shown.answer("It is needed", "two words")
        shown.answer("Wanted: letters, digits and . _", KEY)
        shown.answer("API key of the language model", "")
        shown.answer(r"Who may connect \[off\]", "everybody")
        shown.answer("Answer off, secret or oidc", "oidc")
        shown.answer("Issuer", "http://issuer.example.com")
        shown.answer("Wanted: an https URL", "https://issuer.example.com/")
        shown.answer("Audience", "")
        shown.answer("It is needed", "me")
        shown.answer("Pages that may connect", "app.example.com")
        shown.answer("Wanted: .* or origins such as", "https://app.example.com")
        shown.expect("who has a token of https://issuer.example.com/, from pages of https://app")
        shown.answer("Deploy it", "perhaps")
        shown.answer("Answer y or n", "n")
        assert shown.exit_code() == 1
        assert "Nothing was deployed" in shown.shown
    assert aws.stacks() == {}


def test_an_update_keeps_what_is_stored(aws: Aws, tmp_path: Path) -> None:
    stored = {"ElevenLabsApiKey": KEY, "LlmApiKey": LLM_KEY, "Language": "de"}
    aws.create(small_template(tmp_path, Resources=WITHOUT_CODE), **stored)
    with deploying(aws.environment(tmp_path), small_template(tmp_path)) as shown:
        for question in ("Name of the stack", "Who transcribes", "Who replies", "Who speaks"):
            shown.answer(question, "")
        shown.answer("ElevenLabs API key .*Enter keeps the stored one", "")
        shown.answer("API key of the language model .*Enter keeps the stored one; - for none", "-")
        shown.answer(r"Who may connect \[off\]", "secret")
        shown.answer("Pages that may connect", "")
        shown.answer("Deploy it", "y")
        assert shown.exit_code() == 0
    assert (
        aws.parameters().items()
        >= {
            "ElevenLabsApiKey": KEY,
            "LlmApiKey": "",
            "AuthMode": "secret",
            "Language": "de",
        }.items()
    )
    assert aws.stacks() == {"parley": "UPDATE_COMPLETE"}


@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("ElevenLabs API key", INTERRUPT),
        ("API key of the language model", END_OF_INPUT),
        ("Deploy it", END_OF_INPUT),
    ],
)
def test_whoever_breaks_off_leaves_nothing(
    aws: Aws, tmp_path: Path, question: str, key: str
) -> None:
    with deploying(aws.environment(tmp_path), small_template(tmp_path)) as shown:
        for each, answer in QUESTIONS.items():
            if each == question:
                break
            shown.answer(each, answer)
        shown.expect(question)
        shown.expect(r"(: |\] )\Z")
        shown.type(key)
        assert shown.exit_code() == 130
        assert shown.shown.rstrip().endswith("Interrupted. Nothing was deployed.")
    assert aws.stacks() == {}
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_cloudformation_refuses_is_said_and_leaves_no_stack(aws: Aws, tmp_path: Path) -> None:
    """Parley's own template, as far as moto's CloudFormation goes: it knows no such APIs."""
    built = ROOT / ".aws-sam" / "build" / "template.yaml"
    if not built.exists():
        pytest.skip("nothing is built: run `make build` (needs Python 3.13)")
    with deploying(aws.environment(tmp_path), built) as shown:
        answer_all(shown)
        shown.expect(r"resources: 8 roles|resources: 8 functions")
        shown.answer("Deploy it", "y")
        shown.expect("add: [0-9]+ resources", within_s=150)
        shown.expect("deploy: ExecuteChangeSet: Template error")
        assert shown.exit_code() == 1
    assert aws.stacks() == {}


def test_a_stack_that_is_not_parley_s_is_left_alone(aws: Aws, tmp_path: Path) -> None:
    aws.client("cloudformation").create_stack(
        StackName="website",
        TemplateBody='{"Description": "Shop", "Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}',
    )
    with deploying(aws.environment(tmp_path), small_template(tmp_path)) as shown:
        shown.answer("Name of the stack", "website")
        shown.expect("There is a stack website that is not Parley's. Choose another name.")
        shown.expect(r"Name of the stack.*(: |\] )\Z")
        shown.type(INTERRUPT)
        assert shown.exit_code() == 130
        assert shown.shown.rstrip().endswith("Interrupted. Nothing was deployed.")
    assert list(aws.stacks()) == ["website"]


def test_removing_says_what_goes_and_what_stays(aws: Aws, tmp_path: Path) -> None:
    environment = aws.environment(tmp_path)
    template = small_template(tmp_path, Resources=WITHOUT_CODE)
    aws.create(template, ElevenLabsApiKey=KEY)
    with deploying(environment, template, command="remove") as shown:
        shown.answer("Name of the stack", "")
        shown.expect("parley goes: its URL, functions, keys and logs.")
        shown.expect("The table with the conversations stays")
        shown.answer(r"Remove parley\? \[y/N", "")
        assert shown.exit_code() == 1
    assert "parley" in aws.stacks()
    with deploying(environment, template, command="remove") as shown:
        shown.answer("Name of the stack", "")
        shown.answer("Remove parley", "y")
        shown.expect("parley is removed.")
        assert shown.exit_code() == 0
    assert aws.stacks() == {}


class Run:
    """The program where nobody can be asked, in this process.

    Attributes:
        environment: its variables.
    """

    def __init__(
        self,
        environment: dict[str, str],
        patch: pytest.MonkeyPatch,
        out: pytest.CaptureFixture[str],
    ) -> None:
        self.environment = environment
        self._patch = patch
        self._out = out

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run it; returns its exit code, what it says and what it complains of."""
        handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
        with self._patch.context() as patch, open(os.devnull) as nobody_there:
            for name in os.environ:
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["deploy", "deploy", *arguments])
            patch.setattr(sys, "stdin", nobody_there)
            try:
                code = main()
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        return code, *self._out.readouterr()


@pytest.fixture
def run(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    return Run(aws.environment(tmp_path), monkeypatch, capsys)


def test_without_a_terminal_the_environment_answers(
    aws: Aws, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deploy.__main__.upload_code",
        lambda _account, template, bucket, _prefix: Package(template.read_bytes(), bucket),
    )
    run.environment |= {
        "ELEVENLABS_API_KEY": KEY,
        "PARAMETERS": "Language=de AuthMode=oidc AuthIssuer=https://i.example.com AuthAudience=me",
    }
    template = str(small_template(tmp_path, Resources=WITHOUT_CODE))
    code, said, complained = run("--s3-bucket", BUCKET, "--template", template, "--yes")
    assert (code, complained) == (0, "")
    assert URL in said
    assert aws.parameters() == {
        "ElevenLabsApiKey": KEY,
        "Language": "de",
        "AuthMode": "oidc",
        "AuthIssuer": "https://i.example.com",
        "AuthAudience": "me",
    }


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


@pytest.mark.parametrize(
    ("changed", "arguments", "sentence"),
    [
        ({}, [], "Missing: ELEVENLABS_API_KEY in the environment."),
        (
            {"PARAMETERS": "AuthMode=oidc"},
            [],
            "in the environment, PARAMETERS='AuthIssuer=…', PARAMETERS='AuthAudience=…'.",
        ),
        ({"ELEVENLABS_API_KEY": KEY}, [], "no terminal to ask for consent: add ARGS=--yes."),
        (
            {"ELEVENLABS_API_KEY": KEY, "PARAMETERS": "ToolsFile=mine.toml"},
            ["--yes"],
            "ToolsFile: there is no mine.toml in the folder tools/.",
        ),
        ({"AWS_REGION": ""}, [], "No region is set. Name one: AWS_REGION=eu-west-1."),
        ({"AWS_REGION": "Frankfurt"}, [], "Frankfurt is no region. Name one such as eu-west-1."),
        ({"PARAMETERS": "Languag=de"}, [], "There is no parameter Languag. Did you mean Language?"),
        ({"PARAMETERS": f"ElevenLabsApiKey={KEY}"}, [], "ElevenLabsApiKey is a secret"),
        ({}, ["--parameter-overrides", f"LlmApiKey={KEY}"], "LlmApiKey is a secret"),
        ({"PARAMETERS": "Language=Deutsch"}, [], "Language: Wanted: an ISO 639 code, such as en."),
        ({"ELEVENLABS_API_KEY": "two words"}, [], "ELEVENLABS_API_KEY in the environment: Wanted"),
        ({}, ["--stack-name", "a b"], "a b: Wanted: letters, digits and -"),
        ({}, ["--profile", "nobody"], "There is no profile nobody. There are: home, work."),
        ({"AWS_PROFILE": "nobody"}, [], "There is no profile nobody. There are: home, work."),
        ({"AWS_DEFAULT_PROFILE": "nobody"}, [], "There is no profile nobody. There are: home"),
        (NO_KEYS, [], "There are no AWS credentials. Sign in"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, [], "AWS cannot be reached in that region"),
    ],
)  # fmt: skip
def test_without_a_terminal_a_sentence_says_what_is_missing(
    aws: Aws,
    tmp_path: Path,
    run: Run,
    changed: dict[str, str],
    arguments: list[str],
    sentence: str,
) -> None:
    config = tmp_path / "aws-config"
    config.write_text("[profile work]\n[profile home]\n")
    all_changed = {"AWS_CONFIG_FILE": str(config), **changed}
    run.environment = {k: v for k, v in {**run.environment, **all_changed}.items() if v}
    code, said, complained = run("--template", str(small_template(tmp_path)), *arguments)
    assert code in (1, 2)
    assert sentence in complained
    assert complained.count("\n") == 1
    assert KEY not in said + complained
    assert aws.stacks() == {}


def test_without_credentials_nothing_is_asked(tmp_path: Path) -> None:
    environment = {**nobody(tmp_path), "AWS_REGION": REGION}
    with deploying(environment, small_template(tmp_path)) as shown:
        assert shown.exit_code() == 1
        assert shown.shown.startswith("deploy: There are no AWS credentials. Sign in")


def test_without_a_region_it_is_asked_for(aws: Aws, tmp_path: Path) -> None:
    environment = aws.environment(tmp_path)
    del environment["AWS_REGION"]
    with deploying(environment, small_template(tmp_path)) as shown:
        shown.answer(r"Region \[us-east-1\]", "Frankfurt")
        shown.answer("Wanted: one of .*eu-central-1", "eu-central-1")
        shown.expect("Region eu-central-1")
        shown.expect("Name of the stack")


@pytest.mark.parametrize(
    ("given", "hidden"), [({}, True), ({"AWS_DEFAULT_REGION": "eu-west-1"}, False)]
)
def test_make_does_not_choose_the_region(given: dict[str, str], hidden: bool) -> None:
    """Its own default would hide the one of the user's profile."""
    environment = {k: v for k, v in os.environ.items() if k != "AWS_DEFAULT_REGION"}
    environment.pop("MAKEFLAGS", None)
    done: Any = subprocess.run(
        ["make", "-n", "deploy", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env={**environment, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("env -u AWS_DEFAULT_REGION" in done.stdout) is hidden
    assert "-m deploy deploy" in done.stdout
