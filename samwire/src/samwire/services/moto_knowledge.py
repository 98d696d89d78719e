"""Tells moto what this stack knows of it beforehand, and asks it what permissions need.

Only `moto_server` uses this, in moto's own process.
"""

from __future__ import annotations

from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.utilities.id_generator import moto_id_manager

from samwire.permissions.calls.settings import secret_suffix
from samwire.template.intrinsics import ACCOUNT_ID, PARTITION


def name_secrets_as_the_template_does() -> None:
    """Make the end of a secret's ARN follow from its name: `Ref` had to know it before."""
    moto_id_manager.add_id_source(_suffix)


def issued_secret(access_key_id: str) -> str | None:
    """Return the secret of a key that moto's own IAM or STS has given out; None for others."""
    from moto.iam.models import iam_backends  # hardly ever needed: no start should wait for them
    from moto.sts.models import sts_backends

    made = iam_backends[ACCOUNT_ID][PARTITION].access_keys.get(access_key_id)
    assumed = sts_backends[ACCOUNT_ID][PARTITION].get_assumed_role_from_access_key(access_key_id)
    found = made or assumed
    return None if found is None else str(found.secret_access_key)


def key_names(region: str, table: str) -> tuple[str, ...]:
    """Return the key attributes of a table."""
    found = dynamodb_backends[ACCOUNT_ID][region].tables[table]
    return (*found.hash_key_names, *found.range_key_names)[: 2 if found.has_range_key else 1]


def partition_key(region: str, table: str, index: str) -> str | None:
    """Return the name of the partition key of a table or of an index of it."""
    found = dynamodb_backends[ACCOUNT_ID][region].tables.get(table)
    if found is None:
        return None
    schema: list[dict[str, str]] = found.schema
    if index:
        indexes = [*found.indexes, *found.global_indexes]
        schema = next((each.schema for each in indexes if each.name == index), [])
    return next((key["AttributeName"] for key in schema if key["KeyType"] == "HASH"), None)


def _suffix(context: Any) -> str | None:
    identifier = context.get("resource_identifier")
    if identifier is None or identifier.service != "secretsmanager":
        return None
    return secret_suffix(identifier.name)
