"""What keys and URLs in the environment may hold, before any service is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from dev.__main__ import main
from dev.children import last_advice
from dev.choice import SETTINGS, TEMPLATE, allowed
from dev.errors import CannotRun
from dev.providers import CHOOSERS, Providers
from dev.services import SERVICES
from parley.protocol.messages import Stage
from parley.providers.registry import STAGES
from parley_standins.vendors import VENDORS
from samwire.template.loader import load_template
from tests.e2e.stack import STANDIN_KEY, Standins


@pytest.mark.parametrize(
    "variables",
    [
        {"LLM_BASE_URL": "http://a b/"},
        {"LLM_BASE_URL": "http://[::"},
        {"LLM_API_KEY": "a\nb"},
        {"LLM_API_KEY": "schl\u00fcssel\u20ac"},
    ],
    ids=ascii,
)
def test_what_cannot_be_sent_is_one_sentence_without_the_key(variables: dict[str, str]) -> None:
    providers = Providers.chosen({"LLM_BASE_URL": "http://127.0.0.1:1", **variables}, {})
    with pytest.raises(
        CannotRun, match=r"^The LLM cannot be asked: \S.* is no URL, or LLM_API_KEY"
    ):
        providers.check()


def test_logs_that_cannot_be_written_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("x") / "file"
    file.write_text("")
    assert main(["--port", "0", "--once", "--logs", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("No logs can be written to ")


STANDINS = {
    "elevenlabs": "http://e", "llm": "http://l/v1", "cartesia": "http://c", "n8n": "http://n",
    "openai_audio": "http://o", "anthropic": "http://a", "deepgram": "http://d",
}  # fmt: skip
OTHERS = {"Transcriber": "whisper", "Responder": "n8n", "Synthesizer": "cartesia"}


def test_every_provider_of_the_registry_can_be_had() -> None:
    found = {stage: [name for at, name in SERVICES if at == stage] for stage in STAGES}
    assert {stage: sorted(names) for stage, names in found.items()} == {
        stage: sorted(entries) for stage, entries in STAGES.items()
    }
    for setting, parameter in SETTINGS.items():
        stage = cast(Stage, CHOOSERS[parameter])
        assert allowed(parameter) == list(STAGES[stage]), setting


def test_every_vendor_that_is_stood_in_for_is_known() -> None:
    known = {service.standin for service in SERVICES.values()}
    assert set(VENDORS) <= known


def test_without_a_key_everything_is_stood_in_for() -> None:
    providers = Providers.chosen({"OTHER": "x"}, OTHERS)
    given = providers.parameters(STANDINS)
    assert set(providers.stand_ins) == {"transcriber", "responder", "synthesizer"}
    assert providers.paid_by == []
    assert given["TranscriptionBaseUrl"] == "http://o/v1"
    assert given["LlmBaseUrl"].startswith("http://n/webhook/")
    assert given["SpeechBaseUrl"] == "http://c"
    assert {given["CartesiaApiKey"], given["TranscriptionApiKey"]} == {"standin-key"}
    assert "ElevenLabsApiKey" not in given
    assert given["VoiceId"] != "21m00Tcm4TlvDq8ikWAM"
    assert set(given) <= set(load_template(TEMPLATE)["Parameters"])


@pytest.mark.parametrize(
    ("variables", "choice", "real", "paid_by"),
    [
        ({"CARTESIA_API_KEY": "k", "VOICE_ID": "v"}, OTHERS, {"synthesizer"}, ["CARTESIA_API_KEY"]),
        ({"LLM_BASE_URL": "http://x"}, OTHERS, {"responder"}, ["LLM_BASE_URL"]),
        ({"TRANSCRIPTION_BASE_URL": "http://x"}, OTHERS, {"transcriber"}, []),
        ({"TRANSCRIPTION_API_KEY": "k"}, OTHERS, {"transcriber"}, ["TRANSCRIPTION_API_KEY"]),
        ({"ELEVENLABS_API_KEY": "k", "LLM_API_KEY": "k"}, OTHERS, set(), []),
        ({"ANTHROPIC_API_KEY": "k"}, {"Responder": "anthropic"}, {"responder"},
         ["ANTHROPIC_API_KEY"]),
        ({"SPEECH_API_KEY": "k"}, {"Synthesizer": "openai_speech"}, set(), []),
        ({"SPEECH_BASE_URL": "http://x", "VOICE_ID": "v"}, {"Synthesizer": "openai_speech"},
         {"synthesizer"}, []),
        ({"ELEVENLABS_API_KEY": "k"}, {"FallbackTranscriber": "deepgram"},
         {"transcriber", "synthesizer"}, ["ELEVENLABS_API_KEY"]),
    ],
)  # fmt: skip
def test_a_key_or_an_address_of_a_chosen_one_makes_it_the_real_one(
    variables: dict[str, str], choice: dict[str, str], real: set[str], paid_by: list[str]
) -> None:
    providers = Providers.chosen(variables, choice)
    assert {each.stage for each in providers.used if each.is_real} == real
    assert providers.paid_by == paid_by


def test_the_second_provider_has_an_address_of_its_own() -> None:
    choice = {"FallbackSynthesizer": "openai_speech", "FallbackResponder": "openai_chat"}
    given = Providers.chosen({"FALLBACK_LLM_BASE_URL": "http://x", "LLM_API_KEY": "k"}, choice)
    values = given.parameters(STANDINS)
    assert (values["FallbackLlmBaseUrl"], values["FallbackLlmApiKey"]) == ("http://x", "")
    assert (values["LlmApiKey"], "LlmBaseUrl" in values) == ("k", False)
    assert values["FallbackSpeechBaseUrl"] == "http://o/v1"
    assert values["FallbackVoiceId"]


@pytest.mark.parametrize(
    ("variables", "choice", "sentence"),
    [
        ({"CARTESIA_API_KEY": "k"}, OTHERS, "Cartesia speaks. Set VOICE_ID"),
        ({"VOICE_ID": "21m00Tcm4TlvDq8ikWAM"}, OTHERS, "Cartesia speaks. Set VOICE_ID"),
        ({}, {"Responder": "anthropic_bedrock"}, "It runs where Parley is deployed."),
        ({}, {"FallbackResponder": "gpt"}, "FALLBACK_RESPONDER: there is no provider gpt."),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    variables: dict[str, str], choice: dict[str, str], sentence: str
) -> None:
    with pytest.raises(CannotRun, match=sentence):
        Providers.chosen(variables, choice).parameters(STANDINS)


def test_a_provider_that_there_is_not_is_refused_before_anything_is_imported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--port", "0", "--voice", "espeak"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said == "VOICE: expected elevenlabs, cartesia or openai_speech; got espeak."


@pytest.mark.parametrize(
    ("setting", "name", "key", "url"),
    [
        ("Synthesizer", "cartesia", "CARTESIA_API_KEY", "SPEECH_BASE_URL"),
        ("Transcriber", "deepgram", "DEEPGRAM_API_KEY", "TRANSCRIPTION_BASE_URL"),
        ("Transcriber", "whisper", "TRANSCRIPTION_API_KEY", "TRANSCRIPTION_BASE_URL"),
        ("Responder", "anthropic", "ANTHROPIC_API_KEY", "LLM_BASE_URL"),
    ],
)
def test_a_wrong_key_is_refused_before_anything_starts(
    standins: Standins, setting: str, name: str, key: str, url: str
) -> None:
    service = SERVICES[CHOOSERS[setting], name]
    path = service.path if service.standin == "openai_audio" else ""
    address = standins.control(service.standin).url + path
    given = {url: address, "VOICE_ID": "v"}
    with pytest.raises(CannotRun, match=f"refused the key in {key}"):
        Providers.chosen({**given, key: "wrong"}, {setting: name}).check()
    Providers.chosen({**given, key: STANDIN_KEY}, {setting: name}).check()


def test_who_cannot_say_whether_it_takes_a_key_is_not_asked() -> None:
    providers = Providers.chosen({"LLM_BASE_URL": "http://127.0.0.1:1"}, {"Responder": "n8n"})
    assert providers["Responder"].is_real
    assert providers.asked == {}


def test_the_log_says_what_mends_a_failure(tmp_path: Path) -> None:
    log = tmp_path / "stack.log"
    log.write_text(
        'TurnFunction | {"advice": "Check VoiceId."}\nstart | {"x"\nTurnFunction | ["advice"]\n'
    )
    assert last_advice(log) == "Check VoiceId."
    refused = {"errorType": "ConfigurationError", "errorMessage": "Language: choose one."}
    with log.open("a") as more:
        more.write(f"TurnFunction | {json.dumps(refused)}\n")
    assert last_advice(log) == "Language: choose one."
