"""The CloudFormation stack: what is there, what will change, and waiting until it has.

The values of parameters go from this process to CloudFormation and nowhere else: no file has
them, and no command line.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    WaiterError,
)

from deploy.account import Account
from deploy.errors import DeployError

DESCRIPTION = "Parley:"
"""How the description of Parley's template begins."""
POLL_S = 3
GIVE_UP_S = 600
"""How long CloudFormation is asked without an answer, while it works."""
_TRANSIENT = ("Throttl", "RequestLimitExceeded", "ServiceUnavailable", "Internal")
"""How codes of errors begin that the next question may not meet ("Common error types")."""
SHELL = "REVIEW_IN_PROGRESS"
"""The status of what a change set for a new stack makes, until somebody starts it."""
_PREPARED = ("CREATE_COMPLETE", "FAILED")
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_NOT_THERE = (SHELL, "DELETE_COMPLETE")


@dataclass(frozen=True, slots=True)
class Existing:
    """A stack that is there.

    Attributes:
        stored: values of its parameters; `****` for secrets.
    """

    status: str
    description: str
    stored: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What will become of one resource.

    Attributes:
        action: `Add`, `Modify`, `Remove` and so on.
        is_replaced: whether another one takes its place.
    """

    action: str
    logical_id: str
    kind: str
    is_replaced: bool


@dataclass(slots=True)
class ChangeSet:
    """Changes that CloudFormation makes ready, and then makes.

    Attributes:
        stack: the stack's name, and its id as soon as it is known.
        has_own_shell: whether it has made the shell of the stack itself.
    """

    name: str
    stack: str
    is_new_stack: bool
    has_own_shell: bool
    changes: list[Change] = field(default_factory=list)


@dataclass(slots=True)
class Stacks:
    """CloudFormation in one account and region.

    Attributes:
        say: prints a line.
        role: that CloudFormation assumes, if any.
    """

    account: Account
    say: Callable[[str], None]
    role: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def _client(self) -> Any:
        return self.account.session.client("cloudformation")

    def find(self, name: str) -> Existing | None:
        """Return the stack of a name; None if there is none, or only the shell of one."""
        stack = self._described(name)
        return None if stack is None or stack["StackStatus"] in _NOT_THERE else _existing(stack)

    def is_shell(self, name: str) -> bool:
        """Return whether there is a change set for a new stack of that name, and nothing else."""
        stack = self._described(name)
        return stack is not None and stack["StackStatus"] == SHELL

    def _described(self, name: str) -> Mapping[str, Any] | None:
        try:
            (stack,) = self._client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise _sentence(error) from None
        return dict(stack)

    def upload(self, template: bytes, bucket: str, prefix: str) -> str:
        """Put the template next to its code, since it may be too long for a request.

        Returns:
            its URL.
        """
        key = f"{prefix}/{hashlib.sha256(template).hexdigest()[:32]}.template"
        client = self.account.session.client("s3")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=template)
        except ClientError as error:
            raise _sentence(error) from None
        return f"{client.meta.endpoint_url}/{bucket}/{key}"

    @contextmanager
    def change_set(
        self, stack: str, url: str, values: Sequence[Mapping[str, Any]], *, is_new: bool
    ) -> Iterator[ChangeSet | None]:
        """Have CloudFormation find out what would change; None if nothing would.

        What is not started within the context is taken away again, and so is the shell of a
        new stack, unless it was there before: somebody else may need it.

        Raises:
            DeployError: it refuses to.
        """
        has_shell = is_new and not self.is_shell(stack)
        prepared = ChangeSet(f"parley-{secrets.token_hex(8)}", stack, is_new, has_shell)
        is_started = False
        try:
            self._create(prepared, url, values)
            has_changes = self._wait_until_prepared(prepared)
            yield prepared if has_changes else None
            is_started = has_changes
        finally:
            if not is_started:
                self._discard(prepared)

    def _create(self, prepared: ChangeSet, url: str, values: Sequence[Mapping[str, Any]]) -> None:
        optional: dict[str, Any] = {"RoleARN": self.role} if self.role else {}
        if prepared.is_new_stack:
            optional["OnStackFailure"] = "DELETE"
        try:
            made = self._client.create_change_set(
                StackName=prepared.stack,
                ChangeSetName=prepared.name,
                ChangeSetType="CREATE" if prepared.is_new_stack else "UPDATE",
                TemplateURL=url,
                Parameters=list(values),
                Capabilities=["CAPABILITY_IAM"],
                Tags=[{"Key": key, "Value": value} for key, value in self.tags.items()],
                **optional,
            )
        except ClientError as error:
            raise _sentence(error) from None
        prepared.stack = made["StackId"]

    def _wait_until_prepared(self, prepared: ChangeSet) -> bool:
        names = {"ChangeSetName": prepared.name, "StackName": prepared.stack}
        while (found := self._client.describe_change_set(**names))["Status"] not in _PREPARED:
            time.sleep(POLL_S)
        if found["Status"] == "FAILED":
            reason = str(found.get("StatusReason", ""))
            if any(each in reason for each in _NO_CHANGES):
                return False
            raise DeployError(f"CloudFormation refuses the template: {reason}")
        pages = self._client.get_paginator("describe_change_set").paginate(**names)
        prepared.changes = [
            _change(each["ResourceChange"]) for page in pages for each in page["Changes"]
        ]
        return True

    def _discard(self, prepared: ChangeSet) -> None:
        """Take it away, if it is there; what AWS says of that is nothing to add."""
        with suppress(ClientError, BotoCoreError):
            self._client.delete_change_set(ChangeSetName=prepared.name, StackName=prepared.stack)
        if prepared.has_own_shell:
            with suppress(ClientError, BotoCoreError):
                (stack,) = self._client.describe_stacks(StackName=prepared.stack)["Stacks"]
                if stack["StackStatus"] == SHELL:
                    self._client.delete_stack(StackName=stack["StackId"])

    def start(self, prepared: ChangeSet) -> set[str]:
        """Have the changes made.

        Returns:
            ids of the events that were there before.
        """
        before = {event["EventId"] for event in self._events(prepared)}
        try:
            self._client.execute_change_set(ChangeSetName=prepared.name, StackName=prepared.stack)
        except ClientError as error:
            raise _sentence(error) from None
        return before

    def wait(self, prepared: ChangeSet, told: set[str]) -> Existing:
        """Tell what happens until the changes are made.

        Args:
            told: ids of events that nobody need be told of.

        An answer that fails to come is asked for again, up to `GIVE_UP_S`.

        Raises:
            DeployError: they could not be.
            ClientError, BotoCoreError: it cannot be known; CloudFormation goes on.
        """
        failures: list[str] = []
        answered_at, is_lost = time.monotonic(), False
        while True:
            try:
                stack = self._look(prepared, told, failures)
            except (ClientError, ConnectionError, HTTPClientError) as error:
                if not _may_pass(error) or time.monotonic() - answered_at >= GIVE_UP_S:
                    raise
                if not is_lost:
                    self.say("CloudFormation cannot be asked now; it goes on. Asking again ...")
                is_lost = True
            else:
                answered_at, is_lost = time.monotonic(), False
                if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                    break
            time.sleep(POLL_S)
        status = str(stack["StackStatus"])
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            undone = status.endswith(("ROLLBACK_COMPLETE", "DELETE_COMPLETE"))
            outcome = "what was made is undone" if undone else f"the stack is {status}"
            causes = "".join(f"\n  {each}" for each in failures)
            raise DeployError(f"It could not be deployed; {outcome}.{causes}")
        return _existing(stack)

    def _look(self, prepared: ChangeSet, told: set[str], failures: list[str]) -> Mapping[str, Any]:
        """Return the stack as it is now, after telling what has happened to it."""
        (stack,) = self._client.describe_stacks(StackName=prepared.stack)["Stacks"]
        for event in self._events(prepared):
            if event["EventId"] not in told:
                told.add(event["EventId"])
                self._tell(event, failures)
        return dict(stack)

    def _events(self, prepared: ChangeSet) -> list[dict[str, Any]]:
        """Return what has happened to the stack, the oldest first."""
        paginator = self._client.get_paginator("describe_stack_events")
        pages = paginator.paginate(StackName=prepared.stack)
        return [event for page in pages for event in page["StackEvents"]][::-1]

    def _tell(self, event: Mapping[str, Any], failures: list[str]) -> None:
        status, logical_id = event["ResourceStatus"], event["LogicalResourceId"]
        reason = event.get("ResourceStatusReason", "")
        if status.endswith("_COMPLETE"):
            self.say(f"  {status.removesuffix('_COMPLETE').lower():8} {logical_id}")
        elif status.endswith("_FAILED") and "cancelled" not in reason:
            failures.append(f"{logical_id}: {reason}")

    def remove(self, name: str) -> None:
        """Delete a stack that cannot be updated any more, and wait until it is gone."""
        try:
            self._client.delete_stack(StackName=name)
            self._client.get_waiter("stack_delete_complete").wait(StackName=name)
        except (ClientError, WaiterError) as error:
            raise DeployError(f"{name} cannot be removed: {error}") from None


def values(
    declared: Mapping[str, Any], found: Mapping[str, str], stored: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return parameters as CloudFormation takes them: what is not given keeps what is stored."""
    given = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in sorted(found.items())
    ]
    kept = [
        {"ParameterKey": name, "UsePreviousValue": True}
        for name in declared
        if name in stored and name not in found
    ]
    return given + kept


def _existing(stack: Mapping[str, Any]) -> Existing:
    return Existing(
        stack["StackStatus"],
        stack.get("Description", ""),
        {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])},
        {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])},
    )


def _may_pass(error: Exception) -> bool:
    """Return whether the same question may be answered a little later."""
    if not isinstance(error, ClientError):
        return True
    return str(error.response.get("Error", {}).get("Code")).startswith(_TRANSIENT)


def _change(found: Mapping[str, Any]) -> Change:
    return Change(
        found["Action"],
        found["LogicalResourceId"],
        found["ResourceType"],
        found.get("Replacement") == "True",
    )


def _sentence(error: ClientError) -> DeployError:
    found = error.response.get("Error", {})
    text = f"{error.operation_name}: {found.get('Message') or found.get('Code')}"
    if "AccessDenied" in str(found.get("Code")):
        text += " What a deployer must be allowed is in docs/deployer-policy.json."
    return DeployError(text)
