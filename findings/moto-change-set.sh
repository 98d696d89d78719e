#!/bin/sh
# moto 5.2.5
# Guess: a stack that is made by executing a change set is the stack that CreateStack makes, so
#   that `sam deploy` and `sam package --resolve-s3` can be tried against moto.
# Behaviour: it has neither outputs nor a description. SAM, which finds its own bucket by an
#   output, stops with "missing Tags and/or Outputs information".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "moto[cloudformation,s3]==5.2.5" "boto3==1.44.5"
AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import boto3
from moto import mock_aws

TEMPLATE = json.dumps({
    "Description": "A bucket",
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {"Name": {"Value": {"Ref": "Bucket"}}},
})
TAGS = [{"Key": "made-by", "Value": "hand"}]
WANTED = ("Outputs", "Description", "Tags")


def shown(client, name):
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    found = [key for key in WANTED if stack.get(key)]
    print(f"{name}: {stack['StackStatus']}, with {', '.join(found) or 'none of ' + ', '.join(WANTED)}")
    return found


with mock_aws():
    client = boto3.client("cloudformation", region_name="eu-west-1")
    client.create_stack(StackName="directly", TemplateBody=TEMPLATE, Tags=TAGS)
    made = client.create_change_set(
        StackName="by-change-set", ChangeSetName="first", ChangeSetType="CREATE",
        TemplateBody=TEMPLATE, Tags=TAGS,
    )
    client.execute_change_set(ChangeSetName=made["Id"])
    directly, by_change_set = shown(client, "directly"), shown(client, "by-change-set")
sys.exit(not (directly == list(WANTED) and by_change_set == ["Tags"]))
PYTHON
