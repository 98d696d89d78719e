"""Condition keys that requests have here, and the services that are asked about them.

Other keys are named at the start: no request has them.
"""

from __future__ import annotations

_KNOWN = frozenset(
    {
        "aws:currenttime",
        "aws:epochtime",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalisawsservice",
        "aws:principaltype",
        "aws:requestedregion",
        "aws:resourceaccount",
        "aws:securetransport",
        "aws:sourceaccount",  # only AWS's own services send these four
        "aws:sourcearn",
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:multifactorauthpresent",  # sessions of a function have none
        "aws:sourceip",
        "aws:useragent",
        "aws:userid",
        "aws:username",  # only users have one
        "aws:viaawsservice",
        "dynamodb:attributes",
        "dynamodb:leadingkeys",
        "dynamodb:returnconsumedcapacity",
        "dynamodb:returnvalues",
        "dynamodb:select",
        "lambda:sourcefunctionarn",
        "s3:delimiter",
        "s3:max-keys",
        "s3:prefix",
        "s3:versionid",
        "s3:x-amz-acl",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-storage-class",
        "secretsmanager:secretid",
        "secretsmanager:versionid",
        "secretsmanager:versionstage",
        "sns:endpoint",
        "sns:protocol",
        "ssm:overwrite",
        "ssm:recursive",
    }
)


_CHECKED = (
    *("dynamodb", "execute-api", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs", "ssm"),
    "xray",
)


def is_checked(action: str) -> bool:
    """Return whether an action of a policy is, or may be, about a service whose calls are
    checked."""
    service = action.partition(":")[0].lower()
    return "*" in service or "?" in service or service in _CHECKED


def is_known(key: str) -> bool:
    """Return whether requests have a key, given in lower case, or are known to have none on AWS."""
    return key in _KNOWN
