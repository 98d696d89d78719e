"""What is given for parameters, where from, and what is asked for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.worst_case import Prices, defaults, worst_day
from deploy.choice import STAGE_OF, Choice
from deploy.console import Check, Console
from deploy.errors import DeployError, MissingAnswers
from deploy.options import read_options
from deploy.parameters import SECRETS, Parameters, words_of
from deploy.questions import Questions
from deploy.stack import Change, Existing, values
from deploy.summary import changes, costs, how_to_try, kinds, lost, providers
from parley.providers.registry import STAGES

ROOT = Path(__file__).parents[2]
PARAMETERS = Parameters(ROOT / "template.yaml")
KEY = "sk_0123456789abcdef"
OIDC = {"AuthMode": "oidc", "AuthIssuer": "https://i.example.com", "AuthAudience": "me"}
OPEN = {"AuthMode": "off", "AllowedOrigins": "https://b.example"}
USUAL = {"Transcriber": "elevenlabs", "Responder": "openai_chat", "Synthesizer": "elevenlabs"}
STORED = {"ElevenLabsApiKey": "****", "LlmApiKey": "****", "AuthMode": "off", "Language": "de"}


class Script(Console):
    """Answers that are known beforehand.

    Attributes:
        asked: every question, and what was said of wrong answers.
    """

    def __init__(self, answers: list[str] | None) -> None:
        self.interactive = answers is not None
        self._answers: Iterator[str] = iter(answers or [])
        self.asked: list[str] = []

    def say(self, text: str = "") -> None:
        self.asked.append(text.strip())

    def ask(self, question: str, default: str, check: Check) -> str:
        return self._next(question, lambda: next(self._answers) or default, check)

    def ask_hidden(self, question: str, check: Check) -> str:
        return self._next(question, lambda: next(self._answers), check)

    def _next(self, question: str, read: Callable[[], str], check: Check) -> str:
        self.asked.append(question)
        return self._until_allowed(read, check)


def answers(
    typed: list[str] | None,
    *,
    words: Mapping[str, str] | None = None,
    stored: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What the questions end with."""
    script = Script(typed)
    questions = Questions(script, PARAMETERS, words or {}, stored or {}, environment or {})
    return questions.answers()


@pytest.mark.parametrize(
    ("typed", "stored", "environment", "keys"),
    [
        ([KEY, "llm", "", ""], {}, {}, (KEY, "llm")),
        ([KEY, "", "", ""], {}, {}, (KEY, "")),
        ([KEY, "-", "", ""], {}, {}, (KEY, "")),
        (["", "a b", KEY, "", "", ""], {}, {}, (KEY, "")),
        (["-", "", "", ""], {}, {}, ("-", "")),  # there must be one: this is what was typed
        ([f"  {KEY}\t", " llm ", "", ""], {}, {}, (KEY, "llm")),
        (["", "", "", ""], STORED, {}, (None, None)),
        (["new", "-", "", ""], STORED, {}, ("new", "")),
        (["", "", "", ""], {}, {"ELEVENLABS_API_KEY": "e", "LLM_API_KEY": "l"}, ("e", "l")),
        (["mine", "-", "", ""], {}, {"ELEVENLABS_API_KEY": "e", "LLM_API_KEY": "l"}, ("mine", "")),
        (["", "", "", ""], STORED, {"LLM_API_KEY": "l"}, (None, "l")),
        (None, {}, {"ELEVENLABS_API_KEY": "e"}, ("e", None)),
        (None, STORED, {}, (None, None)),
        (None, STORED, {"ELEVENLABS_API_KEY": "e"}, ("e", None)),
    ],
)
def test_keys_are_typed_stored_or_in_the_environment(
    typed: list[str] | None,
    stored: dict[str, str],
    environment: dict[str, str],
    keys: tuple[str | None, str | None],
) -> None:
    typed = typed if typed is None else ["", "", "", *typed]  # the usual providers
    found = answers(typed, stored=stored, environment=environment)
    assert (found.get("ElevenLabsApiKey"), found.get("LlmApiKey")) == keys


@pytest.mark.parametrize(
    ("typed", "words", "stored", "found"),
    [
        (["off", ""], {}, {}, {"AuthMode": "off", "AllowedOrigins": "*"}),
        (["off", "https://b.example"], {}, {}, OPEN),
        (["oidc", "https://i.example.com", "me", ""], {}, {}, {**OIDC, "AllowedOrigins": "*"}),
        (["", "", "", ""], {}, {**STORED, **OIDC}, {**OIDC, "AllowedOrigins": "*"}),
        ([""], OIDC, {}, {**OIDC, "AllowedOrigins": "*"}),
        (["me", ""], {**OIDC, "AuthAudience": ""}, {}, {**OIDC, "AllowedOrigins": "*"}),
        ([], OPEN, {}, OPEN),
        (["Off", "OIDC", "off", "ftp:/x", "*"], {}, {}, {"AuthMode": "off", "AllowedOrigins": "*"}),
    ],
)  # fmt: skip
def test_who_may_connect_is_asked_as_far_as_it_is_open(
    typed: list[str], words: dict[str, str], stored: dict[str, str], found: dict[str, str]
) -> None:
    rest = {**USUAL, "ElevenLabsApiKey": KEY, "LlmApiKey": ""}
    assert answers(typed, words={**rest, **words}, stored=stored) == {**rest, **found}


def test_the_shared_secret_comes_from_the_environment_where_it_is_used() -> None:
    secret = {"AUTH_SECRET": "s" * 32}
    shared = answers([KEY, "", "secret", ""], words=USUAL, environment=secret)
    assert shared["AuthSecret"] == "s" * 32
    assert "AuthSecret" not in answers([KEY, "", "off", ""], words=USUAL, environment=secret)


@pytest.mark.parametrize("typed", [None, []], ids=["nobody", "at a terminal"])
@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("ELEVENLABS_API_KEY", f"{KEY}\r", "letters, digits and"),
        ("ELEVENLABS_API_KEY", f'"{KEY}"', "letters, digits and"),
        ("LLM_API_KEY", "two words", "letters, digits and"),
        ("LLM_API_KEY", f"{KEY}\udce9", "text in UTF-8"),
        ("AUTH_SECRET", "tooshort", "empty, or 32 to 512"),
    ],
)
def test_a_variable_that_is_wrong_is_named_before_anything_is_asked(
    typed: list[str] | None, variable: str, value: str, wanted: str
) -> None:
    environment = {"ELEVENLABS_API_KEY": KEY, variable: value}
    with pytest.raises(DeployError, match=f"{variable} in the environment: Wanted: {wanted}") as no:
        answers(typed, environment=environment)
    assert value not in str(no.value)


OPEN_TO_ALL = {"AuthMode": "off", "AllowedOrigins": "*"}
VOICE = "694f9389-aac1-45b6-b726-9d9369183238"
ELSEWHERE = {"Transcriber": "deepgram", "Responder": "n8n", "Synthesizer": "cartesia"}
HOOK = "https://n8n.example/webhook/talk"
SPEECH = "https://speech.example/v1"


@pytest.mark.parametrize(
    ("typed", "words", "found"),
    [
        (
            ["deepgram", "n8n", "cartesia", KEY, KEY, HOOK, "Bearer t", VOICE],
            {},
            {**ELSEWHERE, "CartesiaApiKey": KEY, "DeepgramApiKey": KEY, "LlmBaseUrl": HOOK,
             "N8nHeaderValue": "Bearer t", "VoiceId": VOICE},
        ),
        (
            ["cartesia", "anthropic_bedrock", "cartesia", KEY, VOICE],
            {},
            {"Transcriber": "cartesia", "Responder": "anthropic_bedrock",
             "Synthesizer": "cartesia", "CartesiaApiKey": KEY, "VoiceId": VOICE},
        ),
        (
            ["Whisper", "whisper", "", "openai_speech", "l", "", SPEECH, "s", "", "t", "af_bella"],
            {},
            {"Transcriber": "whisper", "Responder": "openai_chat", "Synthesizer": "openai_speech",
             "LlmApiKey": "l", "SpeechBaseUrl": SPEECH, "SpeechApiKey": "s",
             "TranscriptionBaseUrl": "", "TranscriptionApiKey": "t", "VoiceId": "af_bella"},
        ),
    ],
    ids=["all others", "no key of its own", "any server"],
)  # fmt: skip
def test_what_the_chosen_providers_need_is_asked_for_and_no_more(
    typed: list[str], words: dict[str, str], found: dict[str, str]
) -> None:
    assert answers(typed, words={**OPEN_TO_ALL, **words}) == {**OPEN_TO_ALL, **found}


def test_a_voice_of_another_vendor_is_asked_for_again() -> None:
    words = {**OPEN_TO_ALL, **USUAL, "Synthesizer": "cartesia", "LlmApiKey": ""}
    usual = PARAMETERS.default("VoiceId")
    found = answers([KEY, KEY, "", usual, "a b", VOICE], words=words)
    assert found["VoiceId"] == VOICE


BEFORE = {**STORED, "Synthesizer": "cartesia", "CartesiaApiKey": "****", "VoiceId": VOICE,
          "SpeechModel": "sonic-3", "DeepgramApiKey": "****", "LlmModel": "gpt"}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "environment", "found"),
    [
        ({}, {}, {}),
        ({"Language": "fr"}, {"CARTESIA_API_KEY": KEY}, {"CartesiaApiKey": KEY}),
        ({}, {"ANTHROPIC_API_KEY": KEY}, {}),  # nobody uses it
        ({"Synthesizer": "elevenlabs"}, {},
         {"VoiceId": PARAMETERS.default("VoiceId"), "SpeechModel": ""}),
        ({"Synthesizer": "elevenlabs", "VoiceId": "mine"}, {}, {"SpeechModel": ""}),
        ({"Transcriber": "whisper"}, {}, {}),
        ({"Responder": "n8n", "LlmBaseUrl": HOOK}, {"N8N_HEADER_VALUE": "x"},
         {"LlmModel": "", "N8nHeaderValue": "x"}),
    ],
)  # fmt: skip
def test_an_update_keeps_what_still_has_a_meaning(
    words: dict[str, str], environment: dict[str, str], found: dict[str, str]
) -> None:
    assert answers(None, words=words, stored=BEFORE, environment=environment) == {**words, **found}


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        # CloudFormation tells an empty secret as it tells any other.
        ({"Transcriber": "deepgram"}, "DEEPGRAM_API_KEY in the environment."),
        ({"Responder": "anthropic"}, "ANTHROPIC_API_KEY in the environment."),
        ({"Responder": "n8n"}, "PARAMETERS='LlmBaseUrl=…'."),
        ({"Synthesizer": "openai_speech"}, "PARAMETERS='SpeechBaseUrl=…', PARAMETERS='VoiceId=…'."),
        ({"FallbackResponder": "n8n"}, "PARAMETERS='FallbackLlmBaseUrl=…'."),
        ({"FallbackSynthesizer": "elevenlabs"}, "PARAMETERS='FallbackVoiceId=…'."),
        ({"FallbackTranscriber": "deepgram"}, "DEEPGRAM_API_KEY in the environment."),
    ],
)
def test_what_a_chosen_provider_needs_is_missing(words: dict[str, str], missing: str) -> None:
    with pytest.raises(MissingAnswers) as told:
        answers(None, words=words, stored=BEFORE)
    assert str(told.value).endswith(f"Missing: {missing}")


def test_every_secret_can_come_from_the_environment() -> None:
    secret = {name for name in PARAMETERS.declared if PARAMETERS.is_secret(name)}
    assert secret == set(SECRETS)


def test_what_providers_need_are_parameters_of_the_template() -> None:
    for chooser, stage in STAGE_OF.items():
        names = PARAMETERS.declared[chooser]["AllowedValues"]
        assert names == list(STAGES[stage])
        for name in names:
            choice = Choice({**effective(), chooser: name})
            assert {*choice.needed(), *choice.optional()} <= set(PARAMETERS.declared)


def test_it_is_said_who_transcribes_replies_and_speaks() -> None:
    chosen = {**ELSEWHERE, "LlmBaseUrl": HOOK, "FallbackTranscriber": "whisper"}
    assert providers(effective(**chosen, FallbackTranscriptionApiKey="x")) == [
        "transcribes: deepgram; when it fails, whisper",
        f"replies: n8n at {HOOK}",
        "speaks: cartesia",
        "no N8nHeaderValue: right only for an endpoint that asks for none",
    ]


def test_a_key_that_openai_itself_wants_is_missed() -> None:
    def said(**values: str) -> str:
        return providers(effective(Transcriber="whisper", LlmApiKey="x", **values))[-1]

    refused = "no TranscriptionApiKey: OpenAI refuses every request without one"
    assert said() == refused
    allowed = "no TranscriptionApiKey: right only for an endpoint that asks for none"
    assert said(TranscriptionBaseUrl="https://ears.example.com/v1") == allowed


def test_nobody_to_ask_is_told_everything_that_is_missing() -> None:
    with pytest.raises(MissingAnswers) as missing:
        answers(None, words={"AuthMode": "oidc"})
    for name in ("ELEVENLABS_API_KEY", "AuthIssuer", "AuthAudience"):
        assert name in str(missing.value)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", {}),
        ("Language=de", {"Language": "de"}),
        ("Language=de Language=fr", {"Language": "fr"}),
        ("SystemPrompt='You are brief. 1 + 1 = 2'", {"SystemPrompt": "You are brief. 1 + 1 = 2"}),
        ("AllowedOrigins=*", {"AllowedOrigins": "*"}),
        ("LlmApiBase=", {"LlmApiBase": ""}),
        ("ParameterKey=Language,ParameterValue=de", {"Language": "de"}),
        ("AuthIssuer=https://i.example.com/?a=b", {"AuthIssuer": "https://i.example.com/?a=b"}),
    ],
)
def test_words_are_read_as_sam_reads_them(
    tmp_path: Path, words: str, found: dict[str, str]
) -> None:
    assert PARAMETERS.overrides(words_of(words, "here"), tmp_path) == found


AS_WRITTEN = {"Language": "no", "AuthMode": "off", "HistoryMessages": "010"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("Language: no\nAuthMode: off\nHistoryMessages: 010", AS_WRITTEN),
        ('{"Language": "de"}', {"Language": "de"}),
        ('[{"ParameterKey": "Language", "ParameterValue": "de"}]', {"Language": "de"}),
        ("Language:\n- de\n- fr", {"Language": "de,fr"}),
        ("- AuthMode=off\n- Language=de", {"AuthMode": "off", "Language": "de"}),
        ('["AuthMode=secret"]', {"AuthMode": "secret"}),
        ("[]", {}),
    ],
)  # fmt: skip
def test_a_file_gives_values_as_they_are_written(
    tmp_path: Path, content: str, found: dict[str, str]
) -> None:
    (tmp_path / "values.yaml").write_text(content)
    assert PARAMETERS.overrides(["file://values.yaml"], tmp_path) == found


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "values.yaml cannot be read: No such file"),
        ("Language: [", "values.yaml is neither YAML nor JSON"),
        ("Language", "values.yaml has no lines such as `Language: de`"),
        ("", "values.yaml has no lines such as `Language: de`"),
        ("Language: {a: b}", "Language must be a text or a list"),
        ("- 1", "values.yaml, item 1 is no Name=value"),
        ("- Language=de\n- Language", "values.yaml, item 2 is no Name=value"),
        ("- [Language=de]", "values.yaml, item 1 is no Name=value"),
        ("- Language: de", "values.yaml, item 1 has Language: wanted are ParameterKey and"),
        ("- {ParameterKey: Language}", "values.yaml, item 1 has ParameterKey: wanted are Par"),
        ("- {ParameterKey: [a], ParameterValue: b}", "item 1: ParameterKey must be a text"),
        ('[{"ParameterKey": "Language", "UsePreviousValue": true}]', "item 1: leave Language out"),
        ('{"Parameters": {"Language": "de"}}', "Parameters holds the values: leave it out"),
        (f"- ElevenLabsApiKey={KEY}", "holds ElevenLabsApiKey, and others can read it: chmod 600"),
        (
            f"- {{ParameterKey: LlmApiKey, ParameterValue: {KEY}}}",
            "holds LlmApiKey, and others can read it: chmod 600",
        ),
        (f"- 'ElevenLabsApiKey {KEY}'", "item 1 is no Name=value"),
        (f"ElevenLabsApiKey: {KEY}", "holds ElevenLabsApiKey, and others can read it: chmod 600"),
    ],
)
def test_a_file_that_is_none_gets_a_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "values.yaml"
    if content is not None:
        path.write_text(content)
        path.chmod(0o644)
    with pytest.raises(DeployError, match=sentence) as refused:
        PARAMETERS.overrides([f"file://{path}"], tmp_path)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("content", [f"ElevenLabsApiKey: {KEY}", f"- ElevenLabsApiKey={KEY}"])
def test_a_file_that_nobody_else_reads_may_hold_keys(tmp_path: Path, content: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(content)
    path.chmod(0o600)
    assert PARAMETERS.overrides([f"file://{path}"], tmp_path) == {"ElevenLabsApiKey": KEY}


@pytest.mark.parametrize("name", ["ElevenLabsApiKey", "LlmApiKey", "AuthSecret"])
@pytest.mark.parametrize("form", ["{}={}", "ParameterKey={},ParameterValue={}"])
def test_a_secret_is_not_taken_from_where_others_read_it(
    tmp_path: Path, name: str, form: str
) -> None:
    with pytest.raises(DeployError, match=f"{name} is a secret") as refused:
        PARAMETERS.overrides([form.format(name, KEY)], tmp_path)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("word", ["Language", "=de", "--yes", "Language: de", "Lang uage=de"])
def test_what_is_no_pair_gets_a_sentence(tmp_path: Path, word: str) -> None:
    with pytest.raises(DeployError, match="is no Name=value"):
        PARAMETERS.overrides([word], tmp_path)


@given(st.sampled_from(sorted(PARAMETERS.declared)), st.text(max_size=20))
def test_a_value_is_taken_or_refused_with_a_sentence(name: str, value: str) -> None:
    wrong = PARAMETERS.wrong(name, value)
    assert wrong is None or (len(wrong) > 10 and wrong.endswith("."))
    if PARAMETERS.is_secret(name) and len(value) > 3:
        assert wrong is None or value not in wrong


@pytest.mark.parametrize("name", PARAMETERS.declared)
def test_every_default_is_allowed(name: str) -> None:
    assert PARAMETERS.wrong(name, PARAMETERS.default(name)) is None


def config(folder: Path, content: str) -> list[str]:
    """Arguments that name a samconfig.toml."""
    (folder / "samconfig.toml").write_text(content)
    return ["--config-file", str(folder / "samconfig.toml")]


@pytest.mark.parametrize(
    "overrides",
    [
        '"Language=de StageName=live"',
        '["Language=de", "StageName=live"]',
        '{Language = "de", StageName = "live"}',
    ],
)
def test_samconfig_is_read_in_all_of_its_forms(
    tmp_path: Path, overrides: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARAMETERS", "Language=fr VoiceSpeed=1.1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    given = config(
        tmp_path,
        '[default.global.parameters]\nstack_name = "talk"\nregion = "eu-west-1"\n'
        f'[default.deploy.parameters]\nparameter_overrides = {overrides}\ntags = "team=voice"\n',
    )
    options = read_options(["deploy", *given, "--parameter-overrides", "VoiceSpeed=1.2"])
    assert (options.usual_name, options.region, options.profile) == ("talk", "eu-west-1", None)
    assert options.tags == {"team": "voice"}
    assert PARAMETERS.overrides(options.words, tmp_path) == {
        "Language": "fr",
        "StageName": "live",
        "VoiceSpeed": "1.2",
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[default", "is not valid TOML"),
        ("[default.deploy.parameters]\nparameter_overrides = 1", "must be a text, a list or"),
        ("[default.deploy.parameters]\nparameter_overrides = \"A='\"", "No closing quotation"),
        ("default = 3", "default must be a table, not 3"),
        ("default = []", "default must be a table"),
        ('[default]\ndeploy = "x"', "default.deploy must be a table, not 'x'"),
        ("[default]\nglobal = []", "default.global must be a table"),
        ('[default.deploy]\nparameters = "x"', "default.deploy.parameters must be a table"),
        ("[default.deploy.parameters]\nregion = 3", "region must be a text, not 3"),
        ("[default.global.parameters]\nprofile = true", "profile must be a text, not true"),
        ("[default.global.parameters]\nstack_name = []", "stack_name must be a text"),
        ("[default.deploy.parameters]\ns3_bucket = {a = 1}", "s3_bucket must be a text"),
        ("[default.deploy.parameters]\nrole_arn = 1.5", "role_arn must be a text, not 1.5"),
        ('[default.deploy.parameters]\ntags = ["team"]', "tags: 'team' is no Name=value"),
    ],
)  # fmt: skip
def test_a_samconfig_that_is_none_gets_a_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    with pytest.raises(DeployError, match=sentence):
        read_options(["deploy", *config(tmp_path, content)])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config-file", "prod.tml"], "prod.tml cannot be read: No such file"),
        (["--config-file", "."], "cannot be read: Is a directory"),
        (["--config-file", "a/b.toml"], "a/b.toml cannot be read: No such file"),
        (["--config-file", "samconfig.toml/x"], "cannot be read: Not a directory"),
        (["--config-file", "latin.toml"], "latin.toml is not valid TOML"),
        (["--config-env", "production"], "has no environment production. It has: default, prod."),
        (["--config-file", "empty.toml", "--config-env", "prod"], "has no environment prod."),
        (["--config-file", "no.toml", "--config-env", "prod"], "no.toml cannot be read"),
    ],
)
def test_a_configuration_that_is_asked_for_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deploy.options.ROOT", tmp_path)
    Path("samconfig.toml").write_text("version = 0.1\n[default]\n[prod.deploy.parameters]\n")
    Path("empty.toml").write_text("version = 0.1\n")
    Path("latin.toml").write_bytes(b"a = '\xe9'")
    with pytest.raises(DeployError, match=re.escape(sentence)):
        read_options(["deploy", *arguments])


def test_without_a_samconfig_the_defaults_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.options.ROOT", tmp_path)
    assert read_options(["deploy"]).usual_name == "parley"
    with pytest.raises(DeployError, match=r"There is no .*samconfig.toml with an environment prod"):
        read_options(["deploy", "--config-env", "prod"])
    (tmp_path / "samconfig.toml").write_text("[prod.global.parameters]\nstack_name = 'x'\n")
    assert read_options(["deploy"]).usual_name == "parley"
    assert read_options(["deploy", "--config-env", "prod"]).usual_name == "x"


@pytest.mark.parametrize("value", ["https://\udcff.example", "\udce9", "*\ud800"])
@pytest.mark.parametrize("name", ["AllowedOrigins", "SystemPrompt", "LlmApiKey", "AuthAudience"])
def test_a_value_that_is_no_text_is_refused(name: str, value: str) -> None:
    wrong = PARAMETERS.wrong(name, value)
    assert wrong is not None
    assert wrong.isprintable()
    wrong.encode()


def test_a_hidden_answer_that_is_no_text_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typed: Iterator[str | UnicodeDecodeError] = iter(
        [UnicodeDecodeError("utf-8", b"k\xe9y", 1, 2, "invalid"), "k\udce9y", KEY]
    )

    def getpass(prompt: str) -> str:
        found = next(typed)
        if isinstance(found, UnicodeDecodeError):
            raise found
        return found

    monkeypatch.setattr("getpass.getpass", getpass)
    said: list[str] = []
    monkeypatch.setattr(Console, "say", lambda _self, text="": said.append(text))
    check = lambda answer: PARAMETERS.wrong("LlmApiKey", answer)  # noqa: E731
    assert Console().ask_hidden("Key", check) == KEY
    assert len(said) == 2
    for line in said:
        line.encode()


def test_what_is_not_given_keeps_what_is_stored_and_nothing_else() -> None:
    found = values(PARAMETERS.declared, {"Language": "fr"}, {**STORED, "Gone": "x"})
    kept = {each["ParameterKey"] for each in found if each.get("UsePreviousValue")}
    assert kept == {"ElevenLabsApiKey", "LlmApiKey", "AuthMode"}
    assert {"ParameterKey": "Language", "ParameterValue": "fr"} in found
    assert len(found) == 4


def test_it_is_said_what_there_will_be_and_what_it_costs() -> None:
    plain = {"ElevenLabsApiKey": "x"}
    assert "AWS::S3::Bucket" not in kinds(ROOT / "template.yaml", plain)
    secret = kinds(ROOT / "template.yaml", {**plain, "AuthMode": "secret", "Recording": "consent"})
    assert secret.count("AWS::SecretsManager::Secret") == 2
    assert "AWS::S3::Bucket" in secret


def effective(**changed: str) -> dict[str, str]:
    return {**{name: PARAMETERS.default(name) for name in PARAMETERS.declared}, **changed}


def test_the_worst_day_follows_the_limits_that_will_hold() -> None:
    opened, other = costs(effective()), costs(effective(AuthMode="secret"))
    assert opened.startswith("It costs $0.40 a month")
    assert other.startswith("It costs $0.80 a month")
    subject, tenant = (
        f"${sum(worst_day(defaults(), whose, Prices()).values()):,.2f}"
        for whose in ("Subject", "Tenant")
    )
    assert f"cost up to {tenant} a day" in opened
    assert "Anybody" in opened
    assert f"one user cost up to {subject} a day, and one tenant up to {tenant}" in other
    assert "Anybody" not in other
    assert "cost without bounds (SpeechSecondsPerDayPerTenant: 0)" in costs(
        effective(SpeechSecondsPerDayPerTenant="0")
    )
    lower = costs(effective(ThrottlingRateLimit="50"))
    assert tenant not in lower
    day = sum(worst_day({**defaults(), "ThrottlingRateLimit": 50}, "Tenant", Prices()).values())
    assert f"${day:,.2f}" in lower


@pytest.mark.parametrize(
    ("origins", "is_shown"),
    [
        ("*", True),
        ("https://a.example", False),
        ("https://a.example, http://localhost:3001", True),
        ("http://localhost:5173", False),
        ("", False),
    ],
)
def test_the_local_page_is_shown_only_if_it_may_connect(origins: str, is_shown: bool) -> None:
    stack = Existing(
        "CREATE_COMPLETE", "", {"AllowedOrigins": origins}, {"WebSocketUrl": "wss://x"}
    )
    said = how_to_try(stack, "")
    assert ("make run, and then http://localhost:3001/?url=wss://x" in said) is is_shown
    assert ("add http://localhost:3001 to AllowedOrigins" in said) is not is_shown


def test_what_users_rely_on_is_named_before_it_goes() -> None:
    table = Change("Modify", "Table", "AWS::DynamoDB::Table", is_replaced=True)
    api = Change("Remove", "Api", "AWS::ApiGatewayV2::Api", is_replaced=False)
    other = Change("Modify", "TurnFunction", "AWS::Lambda::Function", is_replaced=False)
    assert lost([table, api, other]) == ["Table (table)", "Api (API)"]
    assert lost([other]) == []
    assert changes([table, other]) == "  modify: 2 resources (1 table, 1 function)"
