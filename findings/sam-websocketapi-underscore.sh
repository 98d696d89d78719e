#!/bin/sh
# aws-sam-translator 1.115.0
# Guess: AWS::Serverless::WebSocketApi takes every route key that API Gateway takes, such as
#   user_message, the value that a RouteSelectionExpression finds in a message.
# Behaviour: its transform fails for a key with an underscore or a hyphen. A raw
#   AWS::ApiGatewayV2::Route with that key, beside the same WebSocketApi, passes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aws-sam-translator==1.115.0
AWS_DEFAULT_REGION=us-east-1 "$folder/venv/bin/python" - <<'PYTHON'
import sys
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"

def outcome(route_key, raw_key=None):
    resources = {"Api": {"Type": "AWS::Serverless::WebSocketApi", "Properties": {
        "RouteSelectionExpression": "$request.body.type", "StageName": "dev",
        "Routes": {route_key: {"FunctionArn": FUNCTION}}}}}
    if raw_key:
        resources["Raw"] = {"Type": "AWS::ApiGatewayV2::Route", "Properties": {
            "ApiId": {"Ref": "Api"}, "RouteKey": raw_key}}
    template = {"Transform": "AWS::Serverless-2016-10-31", "Resources": resources}
    try:
        Translator({}, Parser()).translate(template, {})
    except InvalidDocumentException as error:
        return "refused: " + str(error.causes[0].message)[:110]
    return "taken"

seen = {
    "usermessage": outcome("usermessage"),
    "user_message": outcome("user_message"),
    "user-message": outcome("user-message"),
    "raw user_message": outcome("$default", "user_message"),
}
for key, found in seen.items():
    print(f"{key:18}{found}")
refused = [key for key, found in seen.items() if found != "taken"]
sys.exit(refused != ["user_message", "user-message"])
PYTHON
