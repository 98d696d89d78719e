#!/bin/sh
# dynalite 4.0.0
# Guess: an "implementation of Amazon's DynamoDB" that tools recommend takes TransactWriteItems,
#   UpdateTimeToLive and ReturnValuesOnConditionCheckFailure, which DynamoDB has had for years.
# Behaviour: the first two are UnknownOperationException, as if the name were misspelt; the third is
#   passed over: the failed condition comes without its item.
# Hurts: code that works against AWS, DynamoDB Local and moto fails in the middle of its work.
set -eu
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
server=
cd "$folder"
npm install --silent --no-audit --no-fund dynalite@4.0.0
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check boto3
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
touch log
node node_modules/.bin/dynalite --port "$port" --createTableMs 0 >log 2>&1 &
server=$!
until grep -q listening log; do kill -0 "$server"; sleep 0.1; done
venv/bin/python - "$port" <<'PYTHON'
import sys

import boto3
from botocore.exceptions import ClientError

client = boto3.client(
    "dynamodb",
    endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
    region_name="us-east-1",
    aws_access_key_id="x",
    aws_secret_access_key="x",
)
client.create_table(
    TableName="things",
    BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
    KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
)
client.get_waiter("table_exists").wait(TableName="things", WaiterConfig={"Delay": 1})
item = {"k": {"S": "a"}}
client.put_item(TableName="things", Item=item)


def error(call, **arguments):
    try:
        getattr(client, call)(**arguments)
    except ClientError as refused:
        return refused.response
    return {"Error": {"Code": "no error"}}


put = {"TableName": "things", "Item": {"k": {"S": "b"}}}
transaction = error("transact_write_items", TransactItems=[{"Put": put}])["Error"]["Code"]
expiry = error(
    "update_time_to_live",
    TableName="things",
    TimeToLiveSpecification={"AttributeName": "x", "Enabled": True},
)["Error"]["Code"]
failed = error(
    "put_item",
    TableName="things",
    Item=item,
    ConditionExpression="attribute_not_exists(k)",
    ReturnValuesOnConditionCheckFailure="ALL_OLD",
)
print("TransactWriteItems:", transaction)
print("UpdateTimeToLive:", expiry)
print("a failed condition:", failed["Error"]["Code"], "with its item:", "Item" in failed)
unknown = "UnknownOperationException"
sys.exit((transaction, expiry, "Item" in failed) != (unknown, unknown, False))
PYTHON
