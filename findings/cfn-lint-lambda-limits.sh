#!/bin/sh
# cfn-lint 1.58.0
# Guess: a linter that refuses MemorySize: 64 refuses MemorySize: 20000 and ten gigabytes more of
#   EphemeralStorage than Lambda has, and an API of a protocol that API Gateway does not have.
# Behaviour: only the lower bound of MemorySize is an error. The rest is said to be right, and is
#   refused by AWS when the stack is created.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cfn-lint==1.58.0
lint() {
  cat > "$folder/template.yaml" <<YAML
Resources:
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {Name: a, ProtocolType: $3}}
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Code: {ZipFile: "def handler(event, context): pass"}
      Handler: index.handler
      Runtime: python3.13
      Role: arn:aws:iam::123456789012:role/r
      MemorySize: $1
      EphemeralStorage: {Size: $2}
YAML
  "$folder/venv/bin/cfn-lint" --format parseable "$folder/template.yaml" | cut -d: -f6- || true
}
low=$(lint 64 512 HTTP)
high=$(lint 20000 512 HTTP)
large=$(lint 128 20480 HTTP)
kind=$(lint 128 512 SOCKETS)
printf 'MemorySize 64: %s\nMemorySize 20000: %s\nEphemeralStorage 20480: %s\nProtocolType SOCKETS: %s\n' \
  "$low" "${high:-nothing}" "${large:-nothing}" "${kind:-nothing}"
[ -n "$low" ] && [ -z "$high$large$kind" ]
