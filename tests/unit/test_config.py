"""What a deployment is configured with: every variable is read, every wrong one is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from parley.config import Deployment
from parley.errors import ConfigurationError
from parley.limits.rules import LimitRules, Share
from parley.protocol.messages import NO_SETTINGS, Voice
from parley.providers import registry

ROOT = Path(__file__).parents[2]
ALL = {
    "TABLE_NAME": "table",
    "TURN_FUNCTION": "turn",
    "CUSTOM_DOMAIN": "talk.example",
    "SECRET_ARN": "arn:secret",
    "TRANSCRIBER": "parakeet",
    "RESPONDER": "parrot",
    "SYNTHESIZER": "myna",
    "FALLBACK_TRANSCRIBER": "elevenlabs",
    "FALLBACK_RESPONDER": "openai_chat",
    "FALLBACK_SYNTHESIZER": "elevenlabs",
    "FALLBACK_VOICE_ID": "af_bella+af_sky",
    "LANGUAGE_DETECTION": "on",
    "LANGUAGE_VOICES": "de=v2, fr=v3",
    "SYSTEM_PROMPT": "Repeat.",
    "REPLY_FORMAT": "pcm_44100",
    "VOICE_ID": "voice",
    "LANGUAGE": "de",
    "VOICE_SPEED": "0.9",
    "VOICE_STABILITY": "0",
    "HEDGE_AFTER_SECONDS": "1.5",
    "PREEMPTIVE_REPLIES": "off",
    "PROVIDER_TIMEOUT_SECONDS": "2.5",
    "LISTEN_TIMEOUT_SECONDS": "3",
    "SESSION_IDLE_HOURS": "1.5",
    "RECORDING_BUCKET": "bucket",
    "HISTORY_MESSAGES": "6",
    "GREETING": "Hello.",
    "SILENCE_PROMPT": "Hello?",
    "ASK_AFTER_SILENCE_SECONDS": "8",
    "END_AFTER_SILENCE_SECONDS": "12",
    "MAX_SESSION_MINUTES": "30",
    "CLIENT_CONTEXT": "on",
    "CONNECTIONS_PER_SUBJECT": "1",
    "CONNECTIONS_PER_TENANT": "2",
    "TURNS_PER_MINUTE_PER_SUBJECT": "3",
    "TURNS_PER_MINUTE_PER_TENANT": "4",
    "AUDIO_SECONDS_PER_DAY_PER_SUBJECT": "5",
    "AUDIO_SECONDS_PER_DAY_PER_TENANT": "6",
    "SPEECH_SECONDS_PER_DAY_PER_SUBJECT": "7",
    "SPEECH_SECONDS_PER_DAY_PER_TENANT": "8",
    "SESSIONS_PER_MINUTE_PER_SUBJECT": "9",
    "SESSIONS_PER_MINUTE_PER_TENANT": "10",
    "READS_PER_MINUTE_PER_SUBJECT": "11",
    "READS_PER_MINUTE_PER_TENANT": "12",
    "TOOL_ROUNDS_PER_MINUTE_PER_SUBJECT": "17",
    "TOOL_ROUNDS_PER_MINUTE_PER_TENANT": "18",
    "MESSAGES_PER_SECOND": "13",
    "MESSAGE_BYTES": "14",
    "UTTERANCE_SECONDS": "15",
    "REPLY_CHARACTERS": "16",
    "CLIENT_SETTINGS": "speed, style",
    "VOICES": "v1=Vera, v2",
    "LANGUAGES": "de,fr",
    "STAND_INS": "responder",
    "STACK_NAME": "talk",
    "TOOLS_FILE": "demo.toml",
    "TOOL_SECRETS_ARN": "arn:tools",
    "PRIVATE_TOOL_HOSTS": "crm.internal, 10.0.0.5:8080",
}


@pytest.fixture(autouse=True)
def birds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers that are not the usual ones."""
    monkeypatch.setitem(
        registry.TRANSCRIBERS,
        "parakeet",
        registry.TranscriberEntry("no.module", detects_language=True),
    )
    monkeypatch.setitem(registry.RESPONDERS, "parrot", registry.ResponderEntry("no.module"))
    monkeypatch.setitem(registry.SYNTHESIZERS, "myna", registry.SynthesizerEntry("no.module"))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (f"{place}{name}", known)
        for place in ("", "FALLBACK_")
        for name, known in (
            ("TRANSCRIBER", registry.TRANSCRIBERS),
            ("RESPONDER", registry.RESPONDERS),
            ("SYNTHESIZER", registry.SYNTHESIZERS),
        )
    ],
)
def test_a_provider_that_is_not_registered_is_named_with_those_that_are(
    name: str, known: Mapping[str, object]
) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^{name}: expected one of {', '.join(known)}; got"
    ):
        Deployment.from_environment({**ALL, name: "dodo"})


def test_every_variable_is_read() -> None:
    found = Deployment.from_environment(ALL)
    standard = Deployment.from_environment({"TABLE_NAME": "other"})
    same = [
        name for name in Deployment.__slots__ if getattr(found, name) == getattr(standard, name)
    ]
    assert same == []
    assert (found.defaults.voice, found.defaults.language) == ("voice", "de")
    assert (found.defaults.speed, found.defaults.stability) == (0.9, 0)
    assert (found.session_idle_s, found.history_messages) == (5400, 6)
    subject, tenant = Share(1, 3, 5, 7, 9, 11, 17), Share(2, 4, 6, 8, 10, 12, 18)
    assert found.limits == LimitRules(subject, tenant, 13, 14, 15, 16)


@pytest.mark.parametrize("value", ["demo", "../demo.toml", "a/b.toml", "/etc/x.toml"])
def test_the_file_of_tools_is_in_its_own_folder(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^TOOLS_FILE: expected the name of a \.toml"):
        Deployment.from_environment({**ALL, "TOOLS_FILE": value})


def test_hosts_of_tools_are_hosts_with_or_without_a_port() -> None:
    found = Deployment.from_environment({**ALL, "PRIVATE_TOOL_HOSTS": " crm , [::1]:8000,"})
    assert found.private_tool_hosts == ("crm", "[::1]:8000")
    with pytest.raises(ConfigurationError, match=r"^PRIVATE_TOOL_HOSTS: .*got 'http://crm'"):
        Deployment.from_environment({**ALL, "PRIVATE_TOOL_HOSTS": "http://crm"})


def test_the_limits_without_variables_are_the_template_s() -> None:
    parameters = yaml.load((ROOT / "template.yaml").read_text(), _Template)["Parameters"]
    group = ["Connections", "TurnsPerMinute", "AudioSecondsPerDay", "SpeechSecondsPerDay"]
    group += ["SessionsPerMinute", "ReadsPerMinute", "ToolRoundsPerMinute"]
    subject, tenant = (
        Share(*(parameters[f"{name}Per{whose}"]["Default"] for name in group))
        for whose in ("Subject", "Tenant")
    )
    single = ["MessagesPerSecond", "MessageBytes", "UtteranceSeconds", "ReplyCharacters"]
    expected = LimitRules(subject, tenant, *(parameters[name]["Default"] for name in single))
    assert Deployment.from_environment({"TABLE_NAME": "t"}).limits == expected


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("TURNS_PER")])
def test_a_limit_is_a_whole_number(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}: expected a whole number, got 1\.5"):
        Deployment.from_environment({**ALL, name: "1.5"})


LISTS = {"CLIENT_SETTINGS", "VOICES", "LANGUAGES", "STAND_INS"}


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    empty = {**dict.fromkeys(ALL.keys() - LISTS, " "), "TABLE_NAME": "t"}
    assert Deployment.from_environment(empty) == Deployment.from_environment({"TABLE_NAME": "t"})


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e999", "ten", "1,5"])
@pytest.mark.parametrize("name", ["PROVIDER_TIMEOUT_SECONDS", "HISTORY_MESSAGES", "VOICE_SPEED"])
def test_what_is_no_number_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        Deployment.from_environment({**ALL, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("VOICE_SPEED", "3"), ("VOICE_STABILITY", "1.5"), ("LANGUAGE", "en-US"), ("VOICE_ID", "a/b")],
)
def test_settings_that_a_client_could_not_choose_are_no_defaults_either(
    name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Deployment.from_environment({**ALL, name: value})


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's tags as what they hold."""


_Template.add_multi_constructor("!", lambda _loader, _tag, node: node.value)


def test_the_template_sets_every_variable_that_is_read() -> None:
    template = yaml.load((ROOT / "template.yaml").read_text(), _Template)

    def variables(part: dict[str, object]) -> set[str]:
        environment = part.get("Environment", {})
        assert isinstance(environment, dict)
        return set(environment.get("Variables", {}))

    everywhere = variables(template["Globals"]["Function"])
    functions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    assert set(ALL) <= everywhere.union(*map(variables, functions))


def test_who_may_choose_what_is_read() -> None:
    found = Deployment.from_environment(ALL)
    assert found.client_settings == {"speed", "style"}
    assert found.voices == (Voice("v1", "Vera"), Voice("v2", "v2"))
    assert found.languages == ("de", "fr")
    assert found.stand_ins == ("responder",)


@pytest.mark.parametrize("variable", ["TRANSCRIBER", "FALLBACK_TRANSCRIBER"])
def test_a_transcriber_that_detects_no_language_is_refused_where_it_has_to(variable: str) -> None:
    parameter = {"TRANSCRIBER": "Transcriber"}.get(variable, "FallbackTranscriber")
    chosen = {"TABLE_NAME": "t", variable: "cartesia"}
    with pytest.raises(ConfigurationError) as refused:
        Deployment.from_environment({**chosen, "LANGUAGE_DETECTION": "on"})
    sentence = str(refused.value)
    assert f"LanguageDetection is on, and {parameter} cartesia " in sentence
    assert f"set LanguageDetection to off, or {parameter} to elevenlabs" in sentence
    assert not Deployment.from_environment(chosen).detects_language


def test_the_template_refuses_the_same_transcribers() -> None:
    rules = yaml.load((ROOT / "template.yaml").read_text(), _Template)["Rules"]
    able = {name for name, entry in registry.TRANSCRIBERS.items() if entry.detects_language}
    for rule, fallback in (
        ("LanguageDetectionNeedsATranscriberThatDetects", set()),
        ("LanguageDetectionNeedsASecondTranscriberThatDetects", {""}),
    ):
        (assertion,) = rules[rule]["Assertions"]
        allowed, _parameter = assertion["Assert"]
        assert {node.value for node in allowed.value} == able - {"parakeet"} | fallback
        assert " or ".join(sorted(able - {"parakeet"})) in assertion["AssertDescription"]


def test_what_the_providers_can_do_is_what_clients_may_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deaf = registry.TranscriberEntry("no.module", endpointing=("manual",))
    monkeypatch.setitem(registry.TRANSCRIBERS, "parakeet", deaf)
    slow = registry.SynthesizerEntry("no.module", speed=(0.8, 3.0), has_stability=True)
    monkeypatch.setitem(registry.SYNTHESIZERS, "myna", slow)
    chosen = {"TABLE_NAME": "t", "TRANSCRIBER": "parakeet", "SYNTHESIZER": "myna"}
    choices = Deployment.from_environment(chosen).settings_policy.list_choices(NO_SETTINGS)
    assert choices.endpointing == ["manual"]
    assert (choices.min_speed, choices.max_speed) == (0.8, 1.2)
    assert (choices.stability, choices.detects_language) == (True, False)
    usual = Deployment.from_environment({"TABLE_NAME": "t", "LANGUAGE_DETECTION": "on"})
    choices = usual.settings_policy.list_choices(NO_SETTINGS)
    assert choices.endpointing == ["manual", "server_vad"]
    assert (choices.stability, choices.detects_language) == (True, True)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_list_that_is_empty_holds_nothing(name: str) -> None:
    found = Deployment.from_environment({"TABLE_NAME": "t", name: " "})
    assert not getattr(found, name.lower())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLIENT_SETTINGS", "speed,record"),
        ("CLIENT_SETTINGS", "everything"),
        ("VOICES", "../v1=Vera"),
        ("VOICES", "=Vera"),
        ("LANGUAGES", "de-DE"),
        ("STAND_INS", "voice"),
    ],
)
def test_a_wrong_entry_of_a_list_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: expected"):
        Deployment.from_environment({"TABLE_NAME": "t", name: value})
