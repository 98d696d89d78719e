#!/bin/sh
# aws-lambda-powertools 3.37.0
# Guess: `BedrockAgentFunctionResolver` fails when it is asked for a function that it has no tool for,
#   or answers with the `responseState` FAILURE, which the service knows for that.
# Behaviour: it answers as if the function had run. There is no `responseState`, and the result is the
#   text "Error: KeyError: 'cancel_order'", which the model reads. The same becomes of an exception that
#   a tool raises, with its message. Only an event without a function's name is an exception.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    aws-lambda-powertools==3.37.0 boto3==1.44.5
"$folder/venv/bin/python" - <<'PYTHON'
import json

from aws_lambda_powertools.event_handler import BedrockAgentFunctionResolver

app = BedrockAgentFunctionResolver()


@app.tool(description="Where an order is.")
def find_order(order: str) -> str:
    raise RuntimeError("no connection to orders.internal")


def answer(**changed: object) -> dict:
    """Return what the agent is answered for a call of a function."""
    event = {
        "messageVersion": "1.0",
        "agent": {"name": "shop", "id": "A", "alias": "B", "version": "1"},
        "inputText": "",
        "sessionId": "1",
        "actionGroup": "orders",
        "parameters": [{"name": "order", "type": "string", "value": "A-1"}],
        "sessionAttributes": {},
        "promptSessionAttributes": {},
        **changed,
    }
    return app.resolve(event, None)["response"]["functionResponse"]


def body(found: dict) -> str:
    return json.loads(found["responseBody"]["TEXT"]["body"])


unknown, raised = answer(function="cancel_order"), answer(function="find_order")
try:
    answer()
    nameless = "an answer"
except ValueError as error:
    nameless = f"ValueError: {error}"
print("a function without a tool:", unknown)
print("a tool that raises:", raised)
print("an event without a function:", nameless)
raise SystemExit(
    not (
        body(unknown) == "Error: KeyError: 'cancel_order'"
        and body(raised) == "Error: RuntimeError: no connection to orders.internal"
        and "responseState" not in {**unknown, **raised}
        and nameless.startswith("ValueError")
    )
)
PYTHON
