"""What stops a deployment.

DeployError            a sentence for the person who deploys
├── MissingAnswers     nobody is there to be asked
└── Declined           the person who was asked does not want to
"""

from __future__ import annotations


class DeployError(Exception):
    """It cannot go on; the message says why and what to do."""


class MissingAnswers(DeployError):
    """Answers are needed and there is no terminal to ask at."""


class Declined(DeployError):
    """The answer was no."""
