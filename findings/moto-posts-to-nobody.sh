#!/bin/sh
# moto 5.2.5
# Guess: post_to_connection and get_connection of API Gateway's management API answer 410,
#   GoneException, for a connection that never was or was deleted, and 413 above 128 KB: these are the
#   two things that a WebSocket's backend must handle.
# Behaviour: every connection is there as soon as it is named, also after delete_connection. Whatever
#   is posted is taken, whatever its size.
# Hurts: the code that clears away connections that are gone never runs in a test.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "moto[apigatewaymanagementapi]==5.2.5" boto3==1.44.5
AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x "$folder/venv/bin/python" - <<'PYTHON'
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

URL = "https://abc.execute-api.eu-west-1.amazonaws.com/prod"
found = []


def ask(what, call, **arguments):
    try:
        call(**arguments)
        answer = "taken"
    except ClientError as error:
        answer = error.response["Error"]["Code"]
    print(f"{what}: {answer}")
    found.append(answer)


with mock_aws():
    client = boto3.client("apigatewaymanagementapi", region_name="eu-west-1", endpoint_url=URL)
    ask("deleted, never connected", client.delete_connection, ConnectionId="never=")
    ask("posted to it", client.post_to_connection, ConnectionId="never=", Data=b"x")
    ask("deleted again", client.delete_connection, ConnectionId="never=")
    ask("asked for", client.get_connection, ConnectionId="never=")
    large = b"x" * (128 * 1024 + 1)
    ask("posted one byte more than 128 KB", client.post_to_connection, ConnectionId="a=", Data=large)
sys.exit(found != ["taken"] * 5)
PYTHON
