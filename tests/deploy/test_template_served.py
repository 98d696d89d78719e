"""Parley's own template, as the emulator reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from samwire.template.intrinsics import TemplateError
from samwire.template.model import EventInvoke, Stack
from samwire.template.reader import read_stack

ROOT = Path(__file__).parents[2]
KEY = {"ElevenLabsApiKey": "k"}


def served(**parameters: str) -> Stack:
    """The template with values of its parameters."""
    return read_stack(ROOT / "template.yaml", {**KEY, **parameters}, "us-east-1", "localhost:1")


OF_A_STAGE = ("BaseUrl", "Model", "ApiKey")
"""How the parameters of a stage end."""


def test_the_template_is_served_whole() -> None:
    stack = served()
    assert stack.notices == []
    functions = {function.logical_id: function for function in stack.functions}
    given_up = functions["FailureFunction"].arn
    assert functions["TurnFunction"].event_invokes == {
        "$LATEST": EventInvoke(0, 60.0, on_failure=given_up)
    }
    assert functions["TurnFunction"].timeout_s == 900
    assert (
        functions["MessageFunction"].environment["TURN_FUNCTION"] == functions["TurnFunction"].arn
    )
    assert {f.layers[0] for f in stack.functions} == {ROOT / "layers" / "parley"}
    with_tools = {f.logical_id for f in stack.functions if ROOT / "tools" in f.layers}
    assert with_tools == {"MessageFunction", "TurnFunction", "HttpTurnFunction", "HealthFunction"}
    assert stack.tables[0].ttl_attribute == "expires_at"


@pytest.mark.parametrize("recording", ["off", "consent"])
def test_a_bucket_is_there_only_where_its_condition_holds(recording: str) -> None:
    stack = served(Recording=recording)
    names = [bucket.name for bucket in stack.stored.buckets]
    assert len(names) == (1 if recording == "consent" else 0)
    for function in stack.functions:
        assert function.environment.get("RECORDING_BUCKET", "") == "".join(names)
    granted = str([role.policies for role in stack.roles.values()])
    assert ("s3:PutObject" in granted) is bool(names)


def test_a_value_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(TemplateError, match="LogLevel must be one of DEBUG"):
        served(LogLevel="LOUD")


def test_the_rules_are_held_against_what_is_given() -> None:
    given = {"AuthMode": "oidc", "AuthIssuer": "https://issuer.example"}
    with pytest.raises(TemplateError, match=r"^OidcNeedsAn\w+: AuthMode oidc needs AuthAudience"):
        served(**given)
    served(**given, AuthAudience="parley")


@pytest.mark.parametrize(
    ("parameter", "chooser"),
    [
        *((f"FallbackTranscription{each}", "FallbackTranscriber") for each in OF_A_STAGE),
        *((f"FallbackLlm{each}", "FallbackResponder") for each in OF_A_STAGE),
        *((f"FallbackSpeech{each}", "FallbackSynthesizer") for each in OF_A_STAGE),
        ("FallbackVoiceId", "FallbackSynthesizer"),
    ],
)
def test_what_is_said_of_a_second_provider_is_in_vain_without_one(
    parameter: str, chooser: str
) -> None:
    given = {parameter: "https://api.example.com" if parameter.endswith("Url") else "x"}
    with pytest.raises(TemplateError, match=f"^TheSecond.* Set {chooser} too"):
        served(**given)
    served(**given, **{chooser: "elevenlabs" if chooser != "FallbackResponder" else "openai_chat"})
