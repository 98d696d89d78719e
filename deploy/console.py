"""A terminal with somebody in front of it, or none."""

from __future__ import annotations

import getpass
import sys
import warnings
from collections.abc import Callable, Sequence

from deploy.errors import DeployError

Check = Callable[[str], str | None]
"""Says what is wrong with an answer, None if nothing is."""


class Console:
    """Asks until an answer is allowed.

    Attributes:
        interactive: whether anybody can be asked.
    """

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty()

    def say(self, text: str = "") -> None:
        """Print a line, or several."""
        print(text, flush=True)

    def ask(self, question: str, default: str, check: Check) -> str:
        """Return an answer, or the default if there is none, that is allowed."""
        shown = f" [{default}]" if default else ""
        return self._until_allowed(lambda: _typed(f"{question}{shown}: ") or default, check)

    def ask_hidden(self, question: str, check: Check) -> str:
        """Ask likewise, and show nothing of the answer.

        Raises:
            DeployError: the terminal would show it.
        """
        return self._until_allowed(lambda: _hidden(f"{question}: "), check)

    def choose(self, question: str, choices: Sequence[str], default: str) -> str:
        """Return one of a few words."""
        wanted = f"Answer {', '.join(choices[:-1])} or {choices[-1]}."
        return self.ask(question, default, lambda answer: None if answer in choices else wanted)

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return whether the answer is yes."""
        hint = "Y/n" if default else "y/N"
        words = {"": default, "y": True, "yes": True, "n": False, "no": False}
        answer = self._until_allowed(
            lambda: _typed(f"{question} [{hint}] ").lower(),
            lambda word: None if word in words else "Answer y or n.",
        )
        return words[answer]

    def _until_allowed(self, read: Callable[[], str], check: Check) -> str:
        while True:
            try:
                answer = read().strip()
            except UnicodeDecodeError:  # bytes of another encoding, pasted
                self.say("  Wanted: text in UTF-8.")
                continue
            wrong = check(answer)
            if wrong is None:
                return answer
            self.say(f"  {wrong}")


def _typed(prompt: str) -> str:
    """Return what is typed after a prompt.

    `input` shows its own prompt in C, and loses an interruption that comes right after it.
    """
    print(prompt, end="", flush=True)
    return input()


def _hidden(prompt: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except getpass.GetPassWarning:
            raise DeployError(
                "This terminal cannot hide what is typed. Set keys in the environment, such as "
                "ELEVENLABS_API_KEY."
            ) from None
