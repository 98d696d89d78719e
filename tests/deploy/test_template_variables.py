"""The functions' variables: what is configured holds wherever it has a meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from samwire.template.reader import read_stack

ROOT = Path(__file__).parents[2]
RESOURCES: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]


def variables(function: str) -> dict[str, Any]:
    """A function's own variables."""
    found: dict[str, Any] = RESOURCES[function]["Properties"]["Environment"]["Variables"]
    return found


def test_a_turn_over_http_is_configured_like_one_over_the_socket() -> None:
    over_the_socket = variables("TurnFunction")
    del over_the_socket["LISTEN_TIMEOUT_SECONDS"]  # over HTTP the whole utterance is there
    for name in OF_MESSAGES:  # a request has limits of its own
        assert over_the_socket.pop(name) == variables("MessageFunction")[name]
    over_http = variables("HttpTurnFunction")
    requests = {name for name in over_http if name.startswith(REQUESTS)}
    assert {name: over_http[name] for name in over_http.keys() - requests} == over_the_socket


OF_MESSAGES = ("MESSAGES_PER_SECOND", "MESSAGE_BYTES")
REQUESTS = ("CONNECTIONS_", "SESSIONS_", "READS_", "TURN_FUNCTION", "CLIENT_CONTEXT")
"""What does not concern a turn, but the requests around it."""


@pytest.mark.parametrize("whose", ["SUBJECT", "TENANT"])
def test_turns_sessions_and_reads_are_limited_alike_wherever_they_are_asked_for(whose: str) -> None:
    sessions, reads = f"SESSIONS_PER_MINUTE_PER_{whose}", f"READS_PER_MINUTE_PER_{whose}"
    over_http = variables("HttpTurnFunction")
    assert variables("MessageFunction")[sessions] == over_http[sessions]
    assert variables("SessionsFunction")[reads] == over_http[reads]
    turns = f"TURNS_PER_MINUTE_PER_{whose}"
    assert variables("MessageFunction")[turns] == variables("TurnFunction")[turns]
    at_once = f"CONNECTIONS_PER_{whose}"
    assert variables("MessageFunction")[at_once] == over_http[at_once]


@pytest.mark.parametrize("name", ["CONNECTIONS_PER_SUBJECT", "CONNECTIONS_PER_TENANT"])
@pytest.mark.parametrize("function", ["DisconnectFunction", "MessageFunction"])
def test_a_slot_is_given_back_wherever_one_was_taken(function: str, name: str) -> None:
    assert variables(function)[name] == variables("ConnectFunction")[name]


TOOLS = ("STACK_NAME", "TOOLS_FILE", "TOOL_SECRETS_ARN", "PRIVATE_TOOL_HOSTS")


@pytest.mark.parametrize("name", TOOLS)
def test_tools_are_checked_as_they_are_run(name: str) -> None:
    assert variables("HealthFunction")[name] == variables("TurnFunction")[name]


@pytest.mark.parametrize("function", ["TurnFunction", "HttpTurnFunction"])
def test_variables_leave_room_for_the_longest_system_prompt(function: str) -> None:
    """Lambda takes 4,096 bytes of them ("Lambda quotas"); ARNs and names are of a usual length."""
    given = {
        "ElevenLabsApiKey": "x",
        "SystemPrompt": "x" * 2048,
        "ToolSecretsArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:tools-AbCdEf",
        "PrivateToolHosts": "crm.internal,10.0.0.5:8080",
    }
    stack = read_stack(ROOT / "template.yaml", given, "us-east-1", "localhost")
    (found,) = (each for each in stack.functions if each.logical_id == function)
    size = sum(len(name) + len(value) for name, value in found.environment.items())
    assert 3_000 < size < 4_096 - GENERATED_BYTES


GENERATED_BYTES = 120
"""By how much names that CloudFormation makes are longer than those of the emulator."""


def test_whatever_origins_are_allowed_the_http_api_can_be_created() -> None:
    """API Gateway takes neither subdomains nor spaces: the functions look at origins."""
    cors = RESOURCES["HttpApi"]["Properties"]["CorsConfiguration"]
    assert cors["AllowOrigins"] == ["*"]
    assert "AllowCredentials" not in cors
