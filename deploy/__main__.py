"""`make deploy` and `make remove`."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError

from deploy import summary
from deploy.account import Account, open_account
from deploy.console import Console
from deploy.errors import Declined, DeployError, MissingAnswers
from deploy.options import Options, read_options
from deploy.package import run_sam, upload_code
from deploy.parameters import Parameters
from deploy.questions import Questions
from deploy.smoke import ask
from deploy.stack import DESCRIPTION, ChangeSet, Existing, Stacks
from deploy.stack import values as stack_values
from deploy.tools import check_tools

_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_FAILED_AT_FIRST = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
INTERRUPTED = 130
"""The exit code of a program that was interrupted."""


class Deployment:
    """One stack, from the first question to the last line."""

    def __init__(self, console: Console, options: Options, account: Account) -> None:
        self._console = console
        self._options = options
        self._account = account
        self._stacks = Stacks(account, console.say, options.role, options.tags)
        self._is_under_way = False
        self._name = options.usual_name

    def deploy(self) -> None:
        """Ask, say what will be, and make it so.

        Raises:
            DeployError: it cannot be done, or is not wanted.
        """
        parameters = Parameters(self._options.template)
        words = parameters.overrides(self._options.words, Path.cwd())
        name, there = self._choose_stack()
        self._name = name
        is_new = there is None or there.status in _FAILED_AT_FIRST
        stored = {} if there is None else there.stored
        if is_new:  # what is hidden goes with the stack
            stored = parameters.visible(stored)
        questions = Questions(self._console, parameters, words, stored, os.environ)
        found = questions.answers()
        if is_new:
            found, stored = parameters.checked({**stored, **found}), {}
        check_tools(
            questions.effective(found, "ToolsFile"),
            questions.effective(found, "PrivateToolHosts"),
            questions.effective(found, "Languages"),
        )
        self._say_what_will_be(name, questions, found, is_new=is_new)
        if there is not None and is_new:
            what = "removal" if there.status == "DELETE_FAILED" else "deployment"
            self._console.say(f"What is left of a {what} of {name} that failed is removed first.")
            lost = [each for each in parameters.hidden(there.stored) if each not in found]
            if lost:
                self._console.say(
                    f"Its secrets that are not given are not kept: {', '.join(lost)}."
                )
        self._agree("Deploy it?", default=True)

        if there is not None and is_new:
            self._console.say(f"Removing what is left of {name} ...")
            self._stacks.remove(name)
        self._console.say("Uploading the code (sam package) ...")
        package = upload_code(self._account, self._options.template, self._options.bucket, name)
        url = self._stacks.upload(package.template, package.bucket, name)
        given = stack_values(parameters.declared, found, stored)
        with self._stacks.change_set(name, url, given, is_new=is_new) as prepared:
            before = self._start(prepared) if prepared else set()
        if prepared:
            there = self._stacks.wait(prepared, before)
        else:
            self._console.say("Nothing has changed.")
        assert there is not None  # a new stack always changes something
        self._console.say(f"\n{name} is deployed:\n")
        self._console.say(summary.how_to_try(there, " ".join(self._account.options)))
        self._console.say(f"\nTo remove it: {self._command('remove', name)}")
        self._console.say(summary.what_stays(there.outputs, " ".join(self._account.options)))
        self._try_it(there)

    def _try_it(self, stack: Existing) -> None:
        """Ask the deployment whether its providers take its keys.

        Raises:
            DeployError: one does not.
        """
        self._console.say("\nAsking its table and its providers (GET /health?deep=1) ...")
        found = ask(stack, self._account)
        for line in found.lines:
            self._console.say(f"  {line}")
        if found.failing:
            raise DeployError(
                f"{self._name} is deployed, and does not work yet: {', '.join(found.failing)}. "
                f"Mend what is said above, and {self._command('deploy', self._name)} again."
            )

    def _choose_stack(self) -> tuple[str, Existing | None]:
        """Return the stack's name, asked for unless it is given, and what is there of it."""
        found: dict[str, Existing | None] = {}

        def wrong(name: str) -> str | None:
            if not _STACK_NAME.fullmatch(name):
                return "Wanted: letters, digits and -, a letter first, 128 at most."
            found[name] = there = self._stacks.find(name)
            if there is None:
                return None
            if not there.description.startswith(DESCRIPTION):
                return f"There is a stack {name} that is not Parley's. Choose another name."
            if there.status.endswith("_IN_PROGRESS"):
                return f"{name} is being changed ({there.status}). Wait until that is over."
            return None if self._options.command == "remove" else self._stuck(name, there.status)

        name = self._options.stack_name
        if not name and self._console.interactive:
            name = self._console.ask("Name of the stack", self._options.usual_name, wrong)
        else:
            name = name or self._options.usual_name
            sentence = wrong(name)
            if sentence:
                raise DeployError(f"{name}: {sentence}")
        return name, found[name]

    def _stuck(self, name: str, status: str) -> str | None:
        """Return why CloudFormation would update it no more, and what to do; None if it does."""
        if status == "UPDATE_ROLLBACK_FAILED":
            options = " ".join(self._account.options)
            return (
                f"An update of {name} was not undone ({status}). Have that done first: "
                f"aws cloudformation continue-update-rollback {options} --stack-name {name}"
            )
        if status == "IMPORT_ROLLBACK_FAILED":
            return (
                f"An import into {name} was not undone ({status}). The AWS console shows what is "
                "in the way."
            )
        return None

    def _say_what_will_be(
        self, name: str, questions: Questions, found: dict[str, str], *, is_new: bool
    ) -> None:
        say = self._console.say
        mode = questions.effective(found, "AuthMode")
        origins = questions.effective(found, "AllowedOrigins")
        who = {
            "off": "everybody who knows the URL",
            "secret": "who has a token of your backend",  # nosec B105
        }.get(mode, f"who has a token of {questions.effective(found, 'AuthIssuer')}")
        say()
        say(f"{'New stack' if is_new else 'Update of the stack'} {name}, {self._account.region}")
        pages = "any page" if origins == "*" else f"pages of {origins}"
        say(f"  may connect: {who}, from {pages}")
        for line in summary.providers(questions.told(found)):
            say(f"  {line}")
        values = questions.all_effective(found)
        kinds = summary.kinds(self._options.template, values)
        say(f"  resources: {summary.count_kinds(kinds)}")
        say(summary.costs(values))
        say("Your credentials need what docs/deployer-policy.json allows.")

    def _agree(self, question: str, *, default: bool) -> None:
        if self._options.is_agreed:
            return
        if not self._console.interactive:
            raise MissingAnswers("There is no terminal to ask for consent: add ARGS=--yes.")
        if not self._console.confirm(question, default=default):
            raise Declined

    def _start(self, prepared: ChangeSet) -> set[str]:
        """Start the changes, unless something would be lost that somebody relies on."""
        self._console.say(summary.changes(prepared.changes))
        lost = summary.lost(prepared.changes)
        if lost:
            self._console.say(f"Another one, or none, takes the place of {', '.join(lost)}.")
            self._agree("Go on?", default=False)
        before = self._stacks.start(prepared)
        self._is_under_way = True
        return before

    def remove(self) -> None:
        """Delete a stack and its code, and say what stays.

        Raises:
            DeployError: there is none, or it is not wanted.
        """
        name, there = self._choose_stack()
        self._name = name
        if there is None:
            if self._stacks.is_shell(name):
                raise DeployError(
                    f"Of {name} there is only a change set that nobody has started. To remove it: "
                    f"aws cloudformation delete-stack {' '.join(self._account.options)} "
                    f"--stack-name {name}"
                )
            raise DeployError(f"There is no stack {name} in {self._account.region}.")
        stays = summary.what_stays(there.outputs, " ".join(self._account.options))
        self._console.say(f"{name} goes: its URL, functions, keys and logs. {stays}")
        self._agree(f"Remove {name}?", default=False)
        self._console.say("Removing it (sam delete) ...")
        self._is_under_way = True
        run_sam(["delete", "--stack-name", name, "--no-prompts", *self._account.options])
        self._console.say(f"{name} is removed.")

    def _command(self, target: str, name: str) -> str:
        """Return how to call this program again for the same stack."""
        told = [] if name == self._options.usual_name else [f"--stack-name={name}"]
        told.append(f"--region={self._account.region}")
        if self._account.profile:
            told.append(f"--profile={self._account.profile}")
        return f'make {target} ARGS="{" ".join(told)}"'

    @property
    def after_an_interruption(self) -> str:
        """What is true if it is broken off now."""
        if self._is_under_way:
            return (
                "Interrupted. CloudFormation goes on by itself; the AWS console shows the stack, "
                "and `make remove` removes it."
            )
        return "Interrupted. Nothing was deployed."

    @property
    def after_losing_sight(self) -> str:
        """What is true if AWS cannot be asked any more; empty if nothing has been started."""
        if not self._is_under_way:
            return ""
        again = self._command("deploy", self._name)
        return (
            f" CloudFormation goes on by itself. Sign in again if need be, and {again} shows what "
            "came of it."
        )


def main() -> int:
    """Run the program; returns its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    console = Console()
    deployment: Deployment | None = None
    try:
        options = read_options(sys.argv[1:])
        if options.command == "deploy" and not options.template.is_file():
            raise DeployError(f"There is no {options.template}: run `make build` first.")
        account = open_account(console, options.region, options.profile)
        console.say(f"Account {account.account_id} ({account.identity})")
        console.say(f"Region {account.region}, {account.source}")
        deployment = Deployment(console, options, account)
        deployment.remove() if options.command == "remove" else deployment.deploy()
    except (KeyboardInterrupt, EOFError):
        with suppress(OSError):  # the terminal may be gone
            console.say()
            console.say(
                deployment.after_an_interruption
                if deployment
                else "Interrupted. Nothing was deployed."
            )
        return INTERRUPTED
    except Declined:
        console.say("Nothing was deployed or removed.")
        return 1
    except DeployError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 2 if isinstance(error, MissingAnswers) else 1
    except (ClientError, BotoCoreError) as error:
        after = deployment.after_losing_sight if deployment else ""
        print(f"deploy: {str(error).rstrip('.')}.{after}", file=sys.stderr)
        return 1
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
