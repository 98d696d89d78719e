#!/bin/sh
# moto 5.2.5
# Guess: create_stack refuses a parameter that is missing, and so one that is not among AllowedValues,
#   too short, too large, against its AllowedPattern, or against the template's Rules.
# Behaviour: only the missing one is refused. The others become stacks that are CREATE_COMPLETE.
# Hurts: a test that wrong settings are refused cannot fail, or cannot pass.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "moto[cloudformation,sqs]==5.2.5" boto3==1.44.5
AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x "$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

PARAMETERS = {
    "Needed": {"Type": "String"},
    "Mode": {"Type": "String", "Default": "a", "AllowedValues": ["a", "b"]},
    "Name": {"Type": "String", "Default": "long", "MinLength": 3},
    "Word": {"Type": "String", "Default": "word", "AllowedPattern": "[a-z]+"},
    "Size": {"Type": "Number", "Default": 1, "MaxValue": 5},
}
ONLY_A = {
    "Assert": {"Fn::Equals": [{"Ref": "Mode"}, "a"]},
    "AssertDescription": "b is for later.",
}
TEMPLATE = json.dumps({
    "Parameters": PARAMETERS,
    "Rules": {"OnlyA": {"Assertions": [ONLY_A]}},
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
})
WRONG = {
    "Needed": {},
    "AllowedValues": {"Needed": "x", "Mode": "z"},
    "MinLength": {"Needed": "x", "Name": "s"},
    "AllowedPattern": {"Needed": "x", "Word": "7"},
    "MaxValue": {"Needed": "x", "Size": "6"},
    "Rules": {"Needed": "x", "Mode": "b"},
}
found = []
with mock_aws():
    client = boto3.client("cloudformation", region_name="eu-west-1")
    for against, given in WRONG.items():
        parameters = [{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()]
        try:
            client.create_stack(StackName=against, TemplateBody=TEMPLATE, Parameters=parameters)
            status = client.describe_stacks(StackName=against)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            status = error.response["Error"]["Code"]
        print(f"against {against}: {status}")
        found.append(status)
sys.exit(found[0] == "CREATE_COMPLETE" or found[1:] != ["CREATE_COMPLETE"] * 5)
PYTHON
