"""Which account and region are meant, and whether the credentials for it are good."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
)

from deploy.console import Console
from deploy.errors import DeployError, MissingAnswers

_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d")
_QUICK = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
_HOW_TO_SIGN_IN = (
    "Sign in (aws configure, or aws sso login), name a profile (AWS_PROFILE=… or "
    "ARGS=--profile=…), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose credentials are used, and where."""

    session: boto3.Session
    account_id: str
    identity: str
    profile: str | None

    @property
    def region(self) -> str:
        """Such as `eu-west-1`."""
        return str(self.session.region_name)

    @property
    def source(self) -> str:
        """Where the credentials are from."""
        if self.profile:
            return f"profile {self.profile}"
        credentials = self.session.get_credentials()
        return f"no profile (credentials: {credentials.method if credentials else 'none'})"

    @property
    def options(self) -> list[str]:
        """What says the same to `sam`."""
        profile = ["--profile", self.profile] if self.profile else []
        return ["--region", self.region, *profile]


def open_account(console: Console, region: str | None, profile: str | None) -> Account:
    """Find the region, asking for it if need be, and see whose credentials there are.

    Raises:
        DeployError: there are none, or they are not good, or there is no such region.
    """
    try:
        session = boto3.Session(profile_name=profile)
        region = region or os.environ.get("AWS_REGION") or session.region_name
        session = boto3.Session(profile_name=profile, region_name=_region(console, region, session))
        known = session.client("sts", config=_QUICK).get_caller_identity()
    except ProfileNotFound as error:
        # One of boto3's would raise the same again if a variable names the profile.
        names = ", ".join(sorted(botocore.session.Session().available_profiles))
        raise DeployError(
            f"There is no profile {error.kwargs['profile']}."
            + (f" There are: {names}." if names else "")
        ) from None
    except NoCredentialsError:
        raise DeployError(f"There are no AWS credentials. {_HOW_TO_SIGN_IN}") from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise DeployError(
            f"AWS does not take the credentials ({code}). {_HOW_TO_SIGN_IN}"
        ) from None
    except (ConnectionError, HTTPClientError) as error:
        raise DeployError(f"AWS cannot be reached in that region: {error}") from None
    except BotoCoreError as error:  # single sign-on has run out, a file cannot be parsed, …
        raise DeployError(
            f"The AWS credentials cannot be used: {error} {_HOW_TO_SIGN_IN}"
        ) from None
    return Account(session, str(known["Account"]), str(known["Arn"]), profile)


def _region(console: Console, region: str | None, session: boto3.Session) -> str:
    if region:
        if not _REGION.fullmatch(region):
            raise DeployError(f"{region} is no region. Name one such as eu-west-1.")
        return region
    if not console.interactive:
        raise MissingAnswers("No region is set. Name one: AWS_REGION=eu-west-1.")
    known = session.get_available_regions("cloudformation")
    return console.ask(
        "Region",
        "us-east-1",
        lambda name: None if name in known else f"Wanted: one of {', '.join(known)}.",
    )
