"""What calls of S3 ask permission for.

See "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree  # nosec B405  # as below
from urllib.parse import unquote

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.patterns import Context

_HOST = re.compile(r"(.+)\.(?:s3[.-][a-z0-9.-]*amazonaws\.com|s3\.localhost|localhost)(?::\d+)?")
_OBJECT_PARTS = {
    ("acl", "GET"): "GetObjectAcl",
    ("acl", "PUT"): "PutObjectAcl",
    ("tagging", "GET"): "GetObjectTagging",
    ("tagging", "PUT"): "PutObjectTagging",
    ("tagging", "DELETE"): "DeleteObjectTagging",
    ("retention", "GET"): "GetObjectRetention",
    ("retention", "PUT"): "PutObjectRetention",
    ("legal-hold", "GET"): "GetObjectLegalHold",
    ("legal-hold", "PUT"): "PutObjectLegalHold",
    ("attributes", "GET"): "GetObjectAttributes",
    ("restore", "POST"): "RestoreObject",
    ("uploadId", "GET"): "ListMultipartUploadParts",
    ("uploadId", "DELETE"): "AbortMultipartUpload",
}
_BUCKET_PARTS = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "analytics": "AnalyticsConfiguration",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "intelligent-tiering": "IntelligentTieringConfiguration",
    "inventory": "InventoryConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "metrics": "MetricsConfiguration",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
_DELETED_BY_NAME = frozenset({"policy", "website", "ownershipControls"})
"""Parts whose deletion is an action of its own; that of the others is their `Put…`."""
_LISTS = {"versions": "ListBucketVersions", "uploads": "ListBucketMultipartUploads"}
_HEADERS = ("x-amz-acl", "x-amz-server-side-encryption", "x-amz-storage-class")
_QUERY = ("prefix", "delimiter", "max-keys")


def place(call: HttpCall) -> tuple[str, str]:
    """Return bucket and key of a request; empty if it names none."""
    found = _HOST.fullmatch(call.headers.get("host", ""))
    if found:
        return found[1], call.path[1:]
    bucket, _, key = call.path[1:].partition("/")
    return bucket, key


def accesses(call: HttpCall) -> list[Access]:
    """Return the permissions that a call needs."""
    bucket, key = place(call)
    if not bucket:
        return [Access("s3:ListAllMyBuckets", "*")]
    if key:
        return [
            Access(f"s3:{action}", _arn(bucket, key), lambda: _keys(call))
            for action in _object_actions(call)
        ] + _copied(call)
    if call.method == "POST" and "delete" in call.parameters:
        return [
            Access(f"s3:{'DeleteObjectVersion' if version else 'DeleteObject'}", _arn(bucket, name))
            for name, version in _deleted(call.body)
        ]
    return [Access(f"s3:{_bucket_action(call)}", _arn(bucket), lambda: _keys(call))]


def listing(call: HttpCall) -> Access:
    """Who may not list a bucket is not told that a key is not there, but refused."""
    return Access("s3:ListBucket", _arn(place(call)[0]))


def _object_actions(call: HttpCall) -> list[str]:
    method = "GET" if call.method == "HEAD" else call.method
    for part in call.parameters:
        if (part, method) in _OBJECT_PARTS:
            return [_OBJECT_PARTS[part, method]]
    version = "Version" if call.parameters.get("versionId") else ""
    if method == "GET":
        return [f"GetObject{version}"]
    if method == "DELETE":
        return [f"DeleteObject{version}"]
    if "select" in call.parameters:
        return ["GetObject"]
    extra = {"x-amz-acl": "PutObjectAcl", "x-amz-tagging": "PutObjectTagging"}
    return ["PutObject", *(action for name, action in extra.items() if name in call.headers)]


def _copied(call: HttpCall) -> list[Access]:
    source = unquote(call.headers.get("x-amz-copy-source", "")).lstrip("/")
    if not source:
        return []
    path, _, version = source.partition("?versionId=")
    bucket, _, key = path.partition("/")
    return [Access(f"s3:GetObject{'Version' if version else ''}", _arn(bucket, key))]


def _bucket_action(call: HttpCall) -> str:
    reads = call.method in ("GET", "HEAD")
    for part in call.parameters:
        if part in _LISTS and reads:
            return _LISTS[part]
        if part in _BUCKET_PARTS:
            deletes = call.method == "DELETE" and part in _DELETED_BY_NAME
            verb = "Get" if reads else "Delete" if deletes else "Put"
            return verb + _BUCKET_PARTS[part]
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "PutObject"}.get(
        call.method, "ListBucket"
    )


def _deleted(body: bytes) -> list[tuple[str, str]]:
    """Return keys and versions of a `DeleteObjects`."""
    try:
        # The developer's own function sent it.
        root = ElementTree.fromstring(body)  # noqa: S314  # nosec B314
    except ElementTree.ParseError:
        return [("*", "")]
    found = []
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "Object":
            texts = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
            found.append((texts.get("Key", ""), texts.get("VersionId", "")))
    return found


def _keys(call: HttpCall) -> Context:
    keys = {f"s3:{name}": (call.headers[name],) for name in _HEADERS if name in call.headers}
    keys |= {f"s3:{name}": (call.parameters[name],) for name in _QUERY if name in call.parameters}
    if call.parameters.get("versionId"):
        keys["s3:versionid"] = (call.parameters["versionId"],)
    return keys


def _arn(bucket: str, key: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
