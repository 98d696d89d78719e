"""Keeps what is said, and what is secret, out of the functions' logs whatever is switched on.

At DEBUG the libraries log the headers, URLs and bodies of every call: API keys, the secret's
value, audio, text. Lambda's `ApplicationLogLevel` sets the root logger's level and with it
theirs; Powertools logs whole events, tokens included, if its variable says so.
"""

from __future__ import annotations

import logging
import os

LIBRARIES = ("boto3", "botocore", "urllib3", "httpx", "httpcore", "websockets", "asyncio")
LOG_EVENT = "POWERTOOLS_LOGGER_LOG_EVENT"


def keep_quiet() -> None:
    """Libraries log warnings and errors alone, and nothing logs events. Before handlers are
    decorated: Powertools reads its variable then."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ[LOG_EVENT] = "false"
