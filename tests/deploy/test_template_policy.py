"""What the templates must hold to, whatever is added: least privilege, encryption, no secret in
the open, TLS only. cfn-lint checks that they are well formed; this, that they are careful."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from parley.providers.bedrock.config import claude_model
from samwire.permissions.evaluation import Evaluator, Verdict
from samwire.permissions.policies import parsed_policy
from samwire.template.api_model import Rate
from samwire.template.intrinsics import TemplateError
from samwire.template.reader import read_stack
from samwire.template.transform import read_transformed

ROOT = Path(__file__).parents[2]
Resource = dict[str, Any]
TEMPLATES: dict[str, dict[str, Any]] = {
    str(path.relative_to(ROOT)): yaml_parse(path.read_text())
    for path in (ROOT / "template.yaml", ROOT / "docs" / "page-on-cloudfront.yaml")
}
MAIN = TEMPLATES["template.yaml"]
KEY = "arn:aws:kms:us-east-1:123456789012:key/0e3b1c4a-1111-2222-3333-444455556666"
SECRET_NAMES = re.compile(r"(ApiKey|Secret|Token|Password|PrivateKey)$")
# Naming the API would make API, functions and roles depend on each other in a circle: its id is
# a wildcard, the stage and the method are not (docs/decisions.md, "Deployment").
CONNECTIONS = re.compile(
    r"arn:\$\{AWS::Partition\}:execute-api:\$\{AWS::Region\}:\$\{AWS::AccountId\}"
    r":\*/\$\{StageName\}/(POST|DELETE|GET)/@connections/\*"
)


def resources(*types: str) -> list[Any]:
    """Resources of these types in all templates, as test parameters."""
    return [
        pytest.param(resource, id=f"{template}:{name}")
        for template, content in TEMPLATES.items()
        for name, resource in content["Resources"].items()
        if resource["Type"] in types
    ]


def statements(node: Any) -> Iterator[dict[str, Any]]:
    """All policy statements below a node."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def texts(node: Any) -> list[str]:
    """All texts below a node."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        return [text for value in node for text in texts(value)]
    return [str(node)]


ALLOWED = [
    pytest.param(statement, id=f"{template}:{name}:{statement.get('Sid')}")
    for template, content in TEMPLATES.items()
    for name, resource in content["Resources"].items()
    for statement in statements(resource)
    if statement["Effect"] == "Allow" and "Resource" in statement
]
"""Who may assume a role is not among them: that names nothing but Lambda."""


@pytest.mark.parametrize("statement", ALLOWED)
def test_a_statement_says_what_it_is_for_and_names_every_action(statement: dict[str, Any]) -> None:
    assert statement["Sid"]
    assert "NotAction" not in statement
    assert [action for action in texts(statement["Action"]) if "*" in action] == []


WITHOUT_RESOURCES = {
    *("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
    "bedrock:CallWithBearerToken",
}
"""Actions for which IAM knows no resources (Service Authorization Reference, AWS X-Ray and Amazon
Bedrock)."""
DEFAULT_MODEL = re.compile(re.escape("*.anthropic.claude-haiku-5-5"))
# The region is that of LlmBaseUrl; what follows it names one model, or a profile that leads there.
NAMED_MODEL = re.compile(
    r"arn:\$\{AWS::Partition\}:bedrock:\*:(\$\{AWS::AccountId\}:inference-profile|:foundation-model)"
    r"/\$\{Model\}"
)

OWN_TOOLS = re.compile(
    r"arn:\$\{AWS::Partition\}:lambda:\$\{AWS::Region\}:\$\{AWS::AccountId\}"
    r":function:\$\{AWS::StackName\}-tool-\*"
)
"""Functions of this stack, or beside it, whose names say that they are its tools."""


@pytest.mark.parametrize("statement", ALLOWED)
def test_a_statement_names_its_resources(statement: dict[str, Any]) -> None:
    assert "NotResource" not in statement
    if set(texts(statement["Action"])) <= WITHOUT_RESOURCES:
        return
    wild = [text for text in texts(statement["Resource"]) if "*" in text]
    if "bedrock:InferenceProfileArn" in json.dumps(statement.get("Condition", {})):
        wild = [text for text in texts(statement["Condition"]) if "*" in text]
    below = re.compile(r"\$\{\w+\.Arn\}/[\w/]*\*")
    known = (CONNECTIONS, NAMED_MODEL, below, DEFAULT_MODEL, OWN_TOOLS)
    assert [text for text in wild if not any(each.fullmatch(text) for each in known)] == []


@pytest.mark.parametrize("statement", ALLOWED)
def test_nothing_is_allowed_to_everybody(statement: dict[str, Any]) -> None:
    assert "NotPrincipal" not in statement
    assert "*" not in texts(statement.get("Principal", []))


@pytest.mark.parametrize("statement", ALLOWED)
def test_a_key_is_used_through_services_alone(statement: dict[str, Any]) -> None:
    if any(action.startswith("kms:") for action in texts(statement["Action"])):
        assert "kms:ViaService" in json.dumps(statement["Condition"])


@pytest.mark.parametrize("table", resources("AWS::DynamoDB::Table"))
def test_a_table_is_encrypted_recoverable_kept_and_forgets(table: Resource) -> None:
    properties = table["Properties"]
    assert properties["SSESpecification"]["SSEEnabled"] is True
    assert "KmsKeyArn" in texts(properties["SSESpecification"])
    recovery = properties["PointInTimeRecoverySpecification"]
    assert recovery["PointInTimeRecoveryEnabled"] is True
    assert properties["TimeToLiveSpecification"]["Enabled"] is True
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"  # of a failed deployment nothing stays
    assert table["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("group", resources("AWS::Logs::LogGroup"))
def test_logs_are_kept_for_a_time_and_under_the_users_key(group: Resource) -> None:
    assert "RetentionInDays" in group["Properties"]
    assert "KmsKeyArn" in texts(group["Properties"]["KmsKeyId"])


@pytest.mark.parametrize("secret", resources("AWS::SecretsManager::Secret"))
def test_secrets_are_under_the_users_key(secret: Resource) -> None:
    assert "KmsKeyArn" in texts(secret["Properties"]["KmsKeyId"])


@pytest.mark.parametrize("function", resources("AWS::Serverless::Function"))
def test_a_function_has_its_own_log_group_and_role(function: Resource) -> None:
    properties = function["Properties"]
    (group,) = (text for text in texts(properties["LoggingConfig"]) if text.endswith("Logs"))
    assert MAIN["Resources"][group]["Type"] == "AWS::Logs::LogGroup"
    assert "Policies" not in properties  # which SAM ignores where there is a role
    role = role_of(function)
    assert "UseTheKey" in texts(role["ManagedPolicyArns"])
    (log,) = (each for each in statements(role) if "logs:" in json.dumps(each["Action"]))
    assert log["Resource"] == {"Fn::GetAtt": [group, "Arn"]}
    assert sorted(log["Action"]) == ["logs:CreateLogStream", "logs:PutLogEvents"]


def role_of(function: Resource) -> Resource:
    """The properties of a function's role."""
    name, attribute = function["Properties"]["Role"]["Fn::GetAtt"]
    assert attribute == "Arn"
    properties: Resource = MAIN["Resources"][name]["Properties"]
    return properties


def test_every_function_has_a_role_of_its_own_that_lambda_alone_assumes() -> None:
    functions = [each.values[0] for each in resources("AWS::Serverless::Function")]
    names = [function["Properties"]["Role"]["Fn::GetAtt"][0] for function in functions]
    assert len(set(names)) == len(names)
    assert set(names) == {
        name for name, found in MAIN["Resources"].items() if found["Type"] == "AWS::IAM::Role"
    }
    for function in functions:
        (trust,) = statements(role_of(function)["AssumeRolePolicyDocument"])
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert trust["Action"] == "sts:AssumeRole"


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("mode", ["off", "secret", "oidc"])
def test_no_role_has_a_managed_policy_but_those_of_the_template(template: str, mode: str) -> None:
    """AWS's own allow writing to every log group of the account, and SAM attaches them unasked."""
    known = TEMPLATES[template]["Parameters"]
    given = {"AuthMode": mode, "ElevenLabsApiKey": "x", "ApiOrigin": "wss://example.com"}
    parameters = {name: given[name] for name in given if name in known}
    found = read_transformed(ROOT / template, parameters, "us-east-1")
    deployed = found.template["Resources"]
    own = {name for name, each in deployed.items() if each["Type"] == "AWS::IAM::ManagedPolicy"}
    for role in (each for each in deployed.values() if each["Type"] == "AWS::IAM::Role"):
        attached = role["Properties"].get("ManagedPolicyArns", [])
        assert set(texts(attached)) <= own | {"HasKmsKey", "AsksBedrock", "AWS::NoValue"}


def test_only_the_turn_may_send_to_the_function_that_looks_after_the_dead() -> None:
    """Lambda invokes a destination with the role of the function that failed."""
    senders = {
        name
        for name, found in MAIN["Resources"].items()
        for statement in statements(found)
        if statement.get("Action") == "lambda:InvokeFunction"
        and statement["Resource"] == {"Fn::GetAtt": ["FailureFunction", "Arn"]}
    }
    destinations = {
        name.removesuffix("Role") + "Role"
        for name, found in MAIN["Resources"].items()
        if "FailureFunction" in texts(found.get("Properties", {}).get("EventInvokeConfig", {}))
    }
    assert senders == destinations == {"TurnFunctionRole"}


def test_what_is_called_is_what_was_deployed_last() -> None:
    """SAM publishes no version for an alias when only a parameter or the layer has changed."""
    functions = [MAIN["Globals"]["Function"]] + [
        resource["Properties"]
        for resource in MAIN["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    assert not [each for each in functions if {"AutoPublishAlias", "SnapStart"} & set(each)]


def test_no_function_has_a_url_of_its_own() -> None:
    for function in resources("AWS::Serverless::Function"):
        assert "FunctionUrlConfig" not in function.values[0]["Properties"]


@pytest.mark.parametrize("bucket", resources("AWS::S3::Bucket"))
def test_no_bucket_is_public(bucket: Resource) -> None:
    blocked = bucket["Properties"]["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert set(map(str, blocked.values())) <= {"True", "true"}
    assert "BucketEncryption" in bucket["Properties"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_bucket_takes_tls_alone(template: str) -> None:
    content = TEMPLATES[template]["Resources"]
    buckets = {name for name, found in content.items() if found["Type"] == "AWS::S3::Bucket"}
    refused = {
        text
        for policy in content.values()
        if policy["Type"] == "AWS::S3::BucketPolicy"
        for statement in statements(policy)
        if statement["Effect"] == "Deny" and "aws:SecureTransport" in json.dumps(statement)
        for text in texts(policy["Properties"]["Bucket"])
    }
    assert buckets <= refused


@pytest.mark.parametrize("name", [name for name in MAIN["Parameters"] if SECRET_NAMES.search(name)])
def test_a_secret_parameter_is_not_shown_and_goes_nowhere_but_into_a_secret(name: str) -> None:
    assert MAIN["Parameters"][name]["NoEcho"] is True
    assert "Default" not in MAIN["Parameters"][name] or not MAIN["Parameters"][name]["Default"]
    used_in = {
        resource["Type"]
        for resource in MAIN["Resources"].values()
        if any(re.search(rf"\b{name}\b", text) for text in texts(resource))
    }
    assert used_in == {"AWS::SecretsManager::Secret"}
    for elsewhere in ("Globals", "Outputs"):
        assert not any(re.search(rf"\b{name}\b", text) for text in texts(MAIN[elsewhere]))


@functools.cache
def read(**parameters: str) -> Any:
    """The template with these parameters, as it is run."""
    given = {"ElevenLabsApiKey": "x", **parameters}
    return read_stack(ROOT / "template.yaml", given, "us-east-1", "localhost")


def test_whether_all_works_is_asked_seldom_whatever_else_is_asked() -> None:
    (api,) = read().http_apis
    rates = {route.key: route.rate for route in api.routes}
    assert rates.pop("GET /health") == Rate(5, 10)
    assert set(rates.values()) == {Rate(500, 1000)}


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com/v1", "http://8.8.8.8/", "http://127.0.0.1.evil.test/", "http://10.0.0.1@evil.test/",
     "http://localhost.evil.test/", "http://172.32.0.1/", "ftp://x/", "https://"],
)  # fmt: skip
@pytest.mark.parametrize("parameter", ["LlmBaseUrl", "ElevenLabsBaseUrl"])
def test_a_key_is_sent_nowhere_without_tls_but_to_a_private_address(
    parameter: str, url: str
) -> None:
    with pytest.raises(TemplateError, match=parameter):
        read(**{parameter: url})


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com/v1", "http://127.0.0.1:4000/v1", "http://localhost:11434/v1",
     "http://ollama:11434/v1", "http://192.168.1.5:11434/v1", "http://host.docker.internal:1/v1"],
)  # fmt: skip
def test_a_model_may_be_on_the_developers_own_machine_or_network(url: str) -> None:
    assert read(LlmBaseUrl=url).functions


def test_the_users_own_key_may_be_used_by_every_function() -> None:
    stack = read(KmsKeyArn=KEY)
    assert len(stack.functions) == len(stack.roles) > 4
    for role in stack.roles.values():
        (use,) = [
            statement for statement in statements(role.as_json()) if statement["Resource"] == KEY
        ]
        assert "kms:Decrypt" in use["Action"]
        services = use["Condition"]["StringEquals"]["kms:ViaService"]
        assert "dynamodb.us-east-1.amazonaws.com" in services


def test_without_a_key_of_ones_own_nothing_speaks_of_one() -> None:
    assert not any("kms:" in json.dumps(role.as_json()) for role in read().roles.values())


@pytest.mark.parametrize("key", ["alias/mine", "arn:aws:kms:us-east-1:123456789012:alias/mine"])
def test_only_the_arn_of_a_key_is_taken(key: str) -> None:
    with pytest.raises(TemplateError, match="KmsKeyArn"):
        read(KmsKeyArn=key)


def asking_bedrock(**parameters: str) -> dict[str, list[dict[str, Any]]]:
    """The statements about Bedrock, by role."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, role in read(**parameters).roles.items():
        for each in statements(role.as_json()):
            if "bedrock:" in json.dumps(each["Action"]):
                found.setdefault(name.removeprefix("local-"), []).append(each)
    return found


@pytest.mark.parametrize(
    ("parameters", "models"),
    [
        ({"Responder": "anthropic_bedrock"}, ["*.anthropic.claude-haiku-5-5"]),
        (
            {"Responder": "anthropic_bedrock", "LlmModel": "us.anthropic.claude-x-v1:0"},
            ["us.anthropic.claude-x-v1:0"],
        ),
        ({"Responder": "openai_chat_bedrock", "LlmModel": "openai.x-1:0"}, ["openai.x-1:0"]),
        (
            {"FallbackResponder": "anthropic_bedrock", "LlmModel": "gpt-x"},
            ["*.anthropic.claude-haiku-5-5"],
        ),
        (
            {
                "Responder": "anthropic_bedrock",
                "LlmModel": "eu.anthropic.a",
                "FallbackResponder": "openai_chat_bedrock",
                "FallbackLlmModel": "qwen.b",
            },
            ["eu.anthropic.a", "qwen.b"],
        ),
    ],
)
def test_the_chosen_models_on_bedrock_are_asked_and_no_other(
    parameters: dict[str, str], models: list[str]
) -> None:
    roles = asking_bedrock(**parameters)
    assert set(roles) == {"TurnFunctionRole", "HttpTurnFunctionRole", "HealthFunctionRole"}
    for key, *others in roles.values():
        assert (key["Action"], key["Resource"]) == ("bedrock:CallWithBearerToken", "*")
        direct, through = others[::2], others[1::2]
        profiles = []
        for model, statement in zip(models, direct, strict=True):
            profile, itself = statement["Resource"]
            assert re.fullmatch(r"arn:aws:bedrock:\*:\d{12}:inference-profile/.*", profile)
            assert profile.endswith(f"/{model}")
            assert itself == f"arn:aws:bedrock:*::foundation-model/{model}"
            profiles.append(profile)
        for profile, statement in zip(profiles, through, strict=True):
            assert statement["Resource"] == [
                "arn:aws:bedrock:*::foundation-model/*",
                "arn:aws:bedrock:::foundation-model/*",
            ]
            assert statement["Condition"] == {
                "StringLike": {"bedrock:InferenceProfileArn": profile}
            }


@pytest.mark.parametrize("responder", ["openai_chat", "anthropic", "n8n"])
def test_whoever_asks_no_model_on_bedrock_may_not(responder: str) -> None:
    given = {"AnthropicApiKey": "x", "LlmBaseUrl": "https://n8n.example.com/webhook/x"}
    assert asking_bedrock(Responder=responder, **given) == {}


def test_the_model_that_is_allowed_is_the_one_that_is_asked() -> None:
    assert DEFAULT_MODEL.pattern == re.escape(claude_model("eu-west-1").replace("eu.", "*.", 1))


@pytest.mark.parametrize("stage", ["Responder", "FallbackResponder"])
def test_an_open_model_on_bedrock_has_to_be_named(stage: str) -> None:
    with pytest.raises(TemplateError, match="LlmModel"):
        read(**{stage: "openai_chat_bedrock"})


OF_TURNS = {"TurnFunctionRole", "HttpTurnFunctionRole"}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


def may(role: str, action: str, resource: str, **parameters: str) -> bool:
    """Whether a role of the template may do something."""
    policies = read(**parameters).roles[f"local-{role}"].policies.values()
    evaluator = Evaluator([parsed_policy(each) for each in policies])
    return evaluator.decide(action, resource, dict) is Verdict.ALLOWED


@pytest.mark.parametrize("role", sorted(OF_TURNS))
def test_a_turn_runs_the_functions_that_are_named_as_tools_and_no_other(role: str) -> None:
    invoke = "lambda:InvokeFunction"
    assert may(role, invoke, f"{FUNCTION}local-tool-order-status")
    assert may(role, invoke, f"{FUNCTION}local-tool-order-status:live")
    for other in ("other-tool-order-status", "local-TokenFunction", "billing", "local-tools"):
        assert not may(role, invoke, f"{FUNCTION}{other}")


def test_a_turn_runs_the_functions_that_are_listed_too() -> None:
    listed = f"{FUNCTION}orders,{FUNCTION}letters:live"
    for name, allowed in (("orders", True), ("letters:live", True), ("letters", False)):
        found = may(
            "TurnFunctionRole", "lambda:InvokeFunction", FUNCTION + name, ToolFunctionArns=listed
        )
        assert found is allowed


def test_what_tools_sign_with_is_read_by_turns_and_health_alone() -> None:
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tools-AbCdEf"
    read_it = "secretsmanager:GetSecretValue"
    readers = {
        name.removeprefix("local-")
        for name in read(ToolSecretsArn=arn).roles
        if may(name.removeprefix("local-"), read_it, arn, ToolSecretsArn=arn)
    }
    assert readers == OF_TURNS | {"HealthFunctionRole"}
    assert not may("TurnFunctionRole", read_it, arn)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ToolsFile", "../tools.toml"),
        ("ToolsFile", "tools.json"),
        ("ToolSecretsArn", "tools"),
        ("ToolFunctionArns", "orders"),
        ("ToolFunctionArns", f"{FUNCTION}*"),
        ("ToolFunctionArns", f"{FUNCTION}a,"),
        ("ToolFunctionArns", f"{FUNCTION}a, {FUNCTION}b"),
        ("PrivateToolHosts", "http://crm"),
        ("PrivateToolHosts", "*"),
    ],
)
def test_what_tools_may_reach_is_spelt_out(parameter: str, value: str) -> None:
    with pytest.raises(TemplateError, match=parameter):
        read(**{parameter: value})


def test_the_function_of_the_demo_is_there_only_with_the_demo_and_may_nothing() -> None:
    assert not [each for each in read().functions if "Tool" in each.logical_id]
    stack = read(ToolsFile="demo.toml")
    (function,) = (each for each in stack.functions if "Tool" in each.logical_id)
    assert function.name == "local-tool-book-table"
    role = stack.roles["local-ToolBookTableFunctionRole"]
    actions = {action for each in statements(role.as_json()) for action in texts(each["Action"])}
    assert {action.partition(":")[0] for action in actions} == {"logs", "xray"}
