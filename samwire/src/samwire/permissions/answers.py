"""What a service answers a caller who is not allowed, and one who asks who they are.

The forms are those that the services were seen to answer. They differ: SNS calls the error
AuthorizationError, SQS names it in a header, S3 puts the resource in quotation marks, API
Gateway hides most of the account.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape  # nosec B406  # writes XML, reads none

from samwire.permissions.guard import Denial
from samwire.permissions.identities import Session

_SNS = "http://sns.amazonaws.com/doc/2010-03-31/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_SQS = "http://queue.amazonaws.com/doc/2012-11-05/"
_ACCOUNT = re.compile(r":\d{8}(\d{4}):")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    Attributes:
        sentence: what a refusal says, for the log.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    sentence: str


def refusal(service: str, denial: Denial, *, query: bool = False, head: bool = False) -> Answer:
    """Return the answer of a service.

    Args:
        service: as requests are signed for it.
        query: the call spoke the query protocol.
        head: the answer can have no body.
    """
    request_id = str(uuid.uuid4())
    if service == "s3":
        named = denial.access.resource
        sentence = denial.sentence(resource="" if named == "*" else f'"{named}"')
        return _s3(sentence, request_id, head=head)
    if service == "sns":
        return _query(_SNS, "AuthorizationError", denial.sentence(), request_id)
    if service == "sqs" and query:
        return _query(_SQS, "AccessDenied", denial.sentence(), request_id)
    if service == "execute-api":
        return _gateway(denial, request_id)
    return _json(service, denial.sentence(), request_id)


def caller_identity(session: Session) -> Answer:
    """Answer STS's `GetCallerIdentity`, which needs no permission."""
    request_id = str(uuid.uuid4())
    text = (
        f'<GetCallerIdentityResponse xmlns="{_STS}"><GetCallerIdentityResult>'
        f"<Arn>{escape(session.arn)}</Arn><UserId>{escape(session.user_id)}</UserId>"
        f"<Account>{session.account_id}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
    return Answer(200, headers, text.encode(), "")


def _json(service: str, sentence: str, request_id: str) -> Answer:
    kind = "AccessDeniedException"
    headers = {"x-amzn-RequestId": request_id, "Content-Type": "application/x-amz-json-1.1"}
    body = {"__type": kind, "Message": sentence}
    if service in ("dynamodb", "sqs"):
        headers["Content-Type"] = "application/x-amz-json-1.0"
        body["__type"] = f"com.amazon.coral.service#{kind}"
    if service == "sqs":
        headers["x-amzn-query-error"] = "AccessDenied;Sender"  # SDKs take the code from here
    if service in ("lambda", "xray"):  # both speak REST
        headers |= {"Content-Type": "application/json", "x-amzn-ErrorType": kind}
        del body["__type"]
    status = 403 if service in ("lambda", "sqs", "xray") else 400
    return Answer(status, headers, json.dumps(body).encode(), sentence)


def _s3(sentence: str, request_id: str, *, head: bool) -> Answer:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
        f"<Message>{escape(sentence)}</Message><RequestId>{request_id}</RequestId>"
        f"<HostId>{request_id}</HostId></Error>"
    )
    return Answer(
        status=403,
        headers={"Content-Type": "application/xml", "x-amz-request-id": request_id},
        body=b"" if head else text.encode(),
        sentence=sentence,
    )


def _query(namespace: str, code: str, sentence: str, request_id: str) -> Answer:
    text = (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(sentence)}</Message><Detail/></Error><RequestId>{request_id}</RequestId>"
        "</ErrorResponse>"
    )
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
    return Answer(403, headers, text.encode(), sentence)


def _gateway(denial: Denial, request_id: str) -> Answer:
    """Answer as `@connections` does: seen is `arn:aws:execute-api:us-east-1:********9012:…`."""
    sentence = denial.sentence(resource=_ACCOUNT.sub(r":********\1:", denial.access.resource))
    return Answer(
        status=403,
        headers={
            "Content-Type": "application/json",
            "x-amzn-ErrorType": "AccessDeniedException",
            "x-amzn-RequestId": request_id,
        },
        body=json.dumps({"Message": sentence}).encode(),
        sentence=sentence,
    )
