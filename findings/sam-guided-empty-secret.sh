#!/bin/sh
# aws-sam-cli 1.170.0
# Guess: in `sam deploy --guided`, Enter takes the default of a parameter, also of one with NoEcho
#   whose default is empty: a secret that may be left out.
# Behaviour: the question comes again, for ever, without a word. What is typed must not be empty,
#   so a stack with an optional secret cannot be deployed that way.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "aws-sam-cli==1.170.0"
cat >"$folder/template.yaml" <<'YAML'
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Shown: {Type: String, Default: ""}
  Hidden: {Type: String, Default: "", NoEcho: true}
Resources:
  Queue: {Type: AWS::SQS::Queue}
YAML
cd "$folder"
HOME="$folder" SAM_CLI_TELEMETRY=0 AWS_EC2_METADATA_DISABLED=true \
  python3 - "$folder/venv/bin/sam" <<'PYTHON'
import os
import pty
import select
import sys

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], [sys.argv[1], "deploy", "--guided"])


def read(seconds):
    """What is shown until nothing has been for so long."""
    text = ""
    while select.select([terminal], [], [], seconds)[0]:
        try:
            text += os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break
    return text


shown = read(10)
for _ in range(3):  # the stack's name, the region, the parameter that is shown
    os.write(terminal, b"\r")
    shown += read(2)
times = 0
for _ in range(5):
    if "Parameter Hidden" not in shown.rsplit("\n", 1)[-1]:
        break
    times += 1
    os.write(terminal, b"\r")
    shown += read(2)
os.write(terminal, b"\x03")
read(2)
print(shown)
print(f"Enter was the answer to the hidden parameter {times} times; it is still asked for: {times == 5}")
sys.exit(times != 5)
PYTHON
