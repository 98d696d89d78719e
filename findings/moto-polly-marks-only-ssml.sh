#!/bin/sh
# moto 5.2.5
# Guess: Polly's speech marks of words can be had for plain text, as at AWS, where only the marks of
#   the kind "ssml" need SSML; and speech is as long as something spoken.
# Behaviour: word marks of a plain text are SsmlMarksNotSupportedForTextTypeException, and the kind
#   "sentence" is not known, because it is spelt "sentance". Speech is eight zero bytes in each format,
#   so that an MP3 has no frame; word marks are those eight bytes, too, and no JSON.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "moto[polly]==5.2.5" boto3==1.44.5
AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x "$folder/venv/bin/python" - <<'PYTHON'
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

SSML = "<speak>Hello</speak>"
ASKED = {
    "mp3": {"OutputFormat": "mp3", "Text": "Hello"},
    "words of a text": {"OutputFormat": "json", "Text": "Hello", "SpeechMarkTypes": ["word"]},
    "words of SSML": {
        "OutputFormat": "json", "Text": SSML, "TextType": "ssml", "SpeechMarkTypes": ["word"],
    },
    "sentences of SSML": {
        "OutputFormat": "json", "Text": SSML, "TextType": "ssml", "SpeechMarkTypes": ["sentence"],
    },
}  # fmt: skip
found = []
with mock_aws():
    client = boto3.client("polly", region_name="eu-west-1")
    for what, asked in ASKED.items():
        try:
            answer = client.synthesize_speech(VoiceId="Joanna", **asked)["AudioStream"].read()
        except ClientError as error:
            answer = error.response["Error"]["Code"]
        print(f"{what}: {answer}")
        found.append(answer)
wanted = [bytes(8), "SsmlMarksNotSupportedForTextTypeException", bytes(8), "InvalidParameterValue"]
sys.exit(found != wanted)
PYTHON
