"""What whoever deploys must be allowed: all that the template's resources need, and little else.

What CloudFormation calls for a resource is in the handlers of its schema in the CloudFormation
registry (`aws cloudformation describe-type`); here are those of the properties that are used.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samwire.permissions.evaluation import Evaluator, Verdict
from samwire.permissions.patterns import Context
from samwire.permissions.policies import parsed_policy
from samwire.template.transform import read_transformed

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "docs" / "deployer-policy.json"
MAX_CHARACTERS = 6144
"""Of a managed policy, without spaces ("IAM and AWS STS quotas")."""
HERE = "eu-west-1:123456789012"
API = "arn:aws:apigateway:eu-west-1::/apis"
FUNCTION = f"arn:aws:lambda:{HERE}:function:parley-TurnFunction-1A2B3C"
LAYER = f"arn:aws:lambda:{HERE}:layer:parley-parley"
ROLE = "arn:aws:iam::123456789012:role/parley-TurnFunctionRole-1A2B3C"
OWN_POLICY = "arn:aws:iam::123456789012:policy/parley-WriteTraces-1A2B3C"
LOGS = f"arn:aws:logs:{HERE}:log-group:parley-TurnLogs-1A2B3C"
STACK = f"arn:aws:cloudformation:{HERE}:stack/parley/1a2b"
TRANSFORM = "arn:aws:cloudformation:eu-west-1:aws:transform/Serverless-2016-10-31"
COMPANION = f"arn:aws:cloudformation:{HERE}:stack/parley-1a2b-CompanionStack/1"
SAM = f"arn:aws:cloudformation:{HERE}:stack/aws-sam-cli-managed-default/1a2b"
SAM_BUCKET = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1a2b"
BUCKET = "arn:aws:s3:::parley-recordingbucket-1a2b"
PROVIDER_KEYS = f"arn:aws:secretsmanager:{HERE}:secret:ProviderKeys-1A2B3C-abcdef"
NEEDED: dict[str, dict[str, str]] = {
    "AWS::ApiGatewayV2::Api": {
        API: "apigateway: POST PUT TagResource",
        f"{API}/1": "apigateway: GET PATCH DELETE",
        "arn:aws:apigateway:eu-west-1::/tags/arn": "apigateway: PUT DELETE GET",
    },
    "AWS::ApiGatewayV2::Integration": {
        f"{API}/1/integrations/2": "apigateway: POST GET PATCH DELETE",
    },
    "AWS::ApiGatewayV2::Route": {
        f"{API}/1/routes/2": "apigateway: POST GET PATCH DELETE",
    },
    "AWS::ApiGatewayV2::Stage": {
        f"{API}/1/stages/dev": "apigateway: POST GET PATCH DELETE TagResource",
    },
    "AWS::DynamoDB::Table": {
        f"arn:aws:dynamodb:{HERE}:table/parley-Table-1A2B3C": (
            "dynamodb: CreateTable DescribeTable UpdateTable DeleteTable DescribeTimeToLive "
            "UpdateTimeToLive DescribeContinuousBackups UpdateContinuousBackups "
            "DescribeContributorInsights DescribeKinesisStreamingDestination "
            "ListTagsOfResource TagResource UntagResource GetResourcePolicy"
        ),
    },
    "AWS::IAM::ManagedPolicy": {
        OWN_POLICY: (
            "iam: CreatePolicy GetPolicy GetPolicyVersion CreatePolicyVersion DeletePolicy "
            "DeletePolicyVersion ListPolicyVersions ListEntitiesForPolicy"
        ),
    },
    "AWS::IAM::Role": {
        ROLE: (
            "iam: CreateRole GetRole UpdateRole DeleteRole UpdateAssumeRolePolicy "
            "PutRolePolicy GetRolePolicy DeleteRolePolicy ListRolePolicies "
            "ListAttachedRolePolicies TagRole UntagRole AttachRolePolicy DetachRolePolicy"
        ),
    },
    "AWS::Lambda::EventInvokeConfig": {
        FUNCTION: (
            "lambda: PutFunctionEventInvokeConfig GetFunctionEventInvokeConfig "
            "DeleteFunctionEventInvokeConfig"
        ),
    },
    "AWS::Lambda::Function": {
        FUNCTION: (
            "lambda: CreateFunction GetFunction GetFunctionConfiguration "
            "GetFunctionCodeSigningConfig GetFunctionRecursionConfig "
            "GetRuntimeManagementConfig UpdateFunctionCode UpdateFunctionConfiguration "
            "DeleteFunction TagResource UntagResource ListTags"
        ),
        f"{LAYER}:1": "lambda: GetLayerVersion",
        ROLE: "iam: PassRole",
        f"{SAM_BUCKET}/parley/1a2b": "s3: GetObject",
    },
    "AWS::Lambda::LayerVersion": {
        LAYER: "lambda: PublishLayerVersion",
        f"{LAYER}:1": "lambda: GetLayerVersion DeleteLayerVersion",
    },
    "AWS::Lambda::Permission": {
        FUNCTION: "lambda: AddPermission RemovePermission GetPolicy",
    },
    "AWS::Logs::LogGroup": {
        LOGS: (
            "logs: CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy "
            "AssociateKmsKey DisassociateKmsKey TagResource UntagResource ListTagsForResource "
            "GetDataProtectionPolicy"
        ),
        "*": "logs: DescribeLogGroups DescribeIndexPolicies DescribeResourcePolicies",
    },
    "AWS::S3::Bucket": {
        BUCKET: (
            "s3: CreateBucket PutEncryptionConfiguration PutBucketPublicAccessBlock "
            "PutBucketOwnershipControls PutLifecycleConfiguration ListBucket"
        ),
        SAM_BUCKET: (
            "s3: CreateBucket PutEncryptionConfiguration PutBucketPublicAccessBlock "
            "PutBucketVersioning PutBucketTagging"
        ),
    },
    "AWS::S3::BucketPolicy": {
        BUCKET: "s3: PutBucketPolicy GetBucketPolicy DeleteBucketPolicy",
        SAM_BUCKET: "s3: PutBucketPolicy GetBucketPolicy",
    },
    "AWS::SecretsManager::Secret": {
        PROVIDER_KEYS: (
            "secretsmanager: CreateSecret DescribeSecret UpdateSecret PutSecretValue "
            "DeleteSecret TagResource UntagResource"
        ),
        PROVIDER_KEYS.replace(
            "ProviderKeys", "TokenSecret"
        ): "secretsmanager: CreateSecret DeleteSecret",
        "*": "secretsmanager: GetRandomPassword",
    },
    "the stack": {
        STACK: (
            "cloudformation: CreateChangeSet DescribeChangeSet ExecuteChangeSet "
            "DeleteChangeSet DescribeStacks DescribeStackEvents DeleteStack GetTemplate "
            "ContinueUpdateRollback "
            "ListStackResources"
        ),
        SAM: (
            "cloudformation: CreateChangeSet DescribeChangeSet ExecuteChangeSet "
            "DescribeStacks GetTemplate"
        ),
        TRANSFORM: "cloudformation: CreateChangeSet",
        COMPANION: "cloudformation: DescribeStacks",
        f"{SAM_BUCKET}/parley/1a2b": "s3: PutObject GetObject DeleteObject AbortMultipartUpload",
        SAM_BUCKET: "s3: ListBucket GetBucketLocation",
    },
}
"""For each type of resource, which actions on which resources."""
LAMBDA: Context = {"iam:passedtoservice": ("lambda.amazonaws.com",)}
ADMINISTRATOR: Context = {"iam:policyarn": ("arn:aws:iam::aws:policy/AdministratorAccess",)}
REFUSED: list[tuple[str, str, Context]] = [
    ("arn:aws:iam::123456789012:role/Admin", "iam:PutRolePolicy", {}),
    ("arn:aws:iam::123456789012:role/Admin", "iam:PassRole", LAMBDA),
    ("arn:aws:iam::123456789012:user/ada", "iam:CreateAccessKey", {}),
    (ROLE, "iam:AttachRolePolicy", ADMINISTRATOR),
    (ROLE, "iam:PassRole", {"iam:passedtoservice": ("ec2.amazonaws.com",)}),
    (f"arn:aws:lambda:{HERE}:function:billing", "lambda:UpdateFunctionCode", {}),
    (f"arn:aws:dynamodb:{HERE}:table/orders", "dynamodb:DeleteTable", {}),
    (f"arn:aws:dynamodb:{HERE}:table/parley-Table-1A2B3C", "dynamodb:GetItem", {}),
    (f"arn:aws:secretsmanager:{HERE}:secret:database-1A2B3C", "secretsmanager:DeleteSecret", {}),
    (PROVIDER_KEYS, "secretsmanager:GetSecretValue", {}),
    (f"arn:aws:cloudformation:{HERE}:stack/website/1", "cloudformation:DeleteStack", {}),
    ("arn:aws:s3:::customers", "s3:ListBucket", {}),
    (f"arn:aws:logs:{HERE}:log-group:audit", "logs:DeleteLogGroup", {}),
]  # fmt: skip


def needed(kind: str) -> list[tuple[str, str]]:
    """Actions and resources."""
    found = [(resource, *words.split()) for resource, words in NEEDED[kind].items()]
    return [(service + action, resource) for resource, service, *names in found for action in names]


def decide(action: str, resource: str, context: Context) -> Verdict:
    """What the policy says."""
    policy = parsed_policy(json.loads(POLICY.read_text()))
    return Evaluator([policy]).decide(action, resource, lambda: context)


def types() -> set[str]:
    """Every type of resource that the template may make, whatever its parameters."""
    found = read_transformed(ROOT / "template.yaml", {"ElevenLabsApiKey": "x"}, "eu-west-1")
    return {resource["Type"] for resource in found.template["Resources"].values()}


def test_it_is_known_what_every_type_of_the_template_needs() -> None:
    assert types() == NEEDED.keys() - {"the stack"}


@pytest.mark.parametrize("kind", NEEDED)
def test_whoever_deploys_may_do_what_it_takes(kind: str) -> None:
    context = {**LAMBDA, "iam:policyarn": (OWN_POLICY,)}
    assert [each for each in needed(kind) if decide(*each, context) is not Verdict.ALLOWED] == []


def test_it_allows_nothing_that_nobody_needs() -> None:
    allowed: set[str] = set()
    for statement in json.loads(POLICY.read_text())["Statement"]:
        action = statement["Action"]
        allowed |= {action} if isinstance(action, str) else set(action)
    assert allowed == {action for kind in NEEDED for action, _ in needed(kind)}


@pytest.mark.parametrize(("resource", "action", "context"), REFUSED)
def test_whoever_deploys_reaches_nothing_else_of_the_account(
    resource: str, action: str, context: Context
) -> None:
    assert decide(action, resource, context) is Verdict.NOT_ALLOWED


def test_it_fits_into_one_managed_policy() -> None:
    assert len("".join(POLICY.read_text().split())) <= MAX_CHARACTERS


def test_a_statement_says_what_it_is_for() -> None:
    statements = json.loads(POLICY.read_text())["Statement"]
    assert all(statement["Sid"] and statement["Effect"] == "Allow" for statement in statements)
    wild = [each["Sid"] for each in statements if each["Resource"] == "*"]
    assert wild == ["AskWhereNoResourceCanBeNamed"]
