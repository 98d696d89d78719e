#!/bin/sh
# aws-sam-translator 1.115.0
# Guess: an HttpApi event whose ApiId is the logical id as text, without !Ref, is either refused
#   or means the same: the route is added to the API and API Gateway may invoke the function.
# Behaviour: the route is added to the API, but the AWS::Lambda::Permission gets the logical id
#   itself in its SourceArn. The template is valid and deploys; every request answers 500.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aws-sam-translator==1.115.0
AWS_DEFAULT_REGION=us-east-1 "$folder/venv/bin/python" - <<'PYTHON'
import copy, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

def translated(api_id):
    template = {"Transform": "AWS::Serverless-2016-10-31", "Resources": {
        "Api": {"Type": "AWS::Serverless::HttpApi"},
        "Fn": {"Type": "AWS::Serverless::Function", "Properties": {
            "CodeUri": "s3://bucket/key", "Handler": "a.b", "Runtime": "python3.13",
            "Events": {"Get": {"Type": "HttpApi", "Properties": {
                "ApiId": api_id, "Path": "/items", "Method": "get"}}}}}}}
    found = Translator({}, Parser()).translate(copy.deepcopy(template), {})["Resources"]
    sub = found["FnGetPermission"]["Properties"]["SourceArn"]["Fn::Sub"]
    return sub[1]["__ApiId__"], sorted(found["Api"]["Properties"]["Body"]["paths"])

right, wrong = translated({"Ref": "Api"}), translated("Api")
print("ApiId: !Ref Api ->", right)
print("ApiId: Api      ->", wrong)
sys.exit(not (right == ({"Ref": "Api"}, ["/items"]) and wrong == ("Api", ["/items"])))
PYTHON
