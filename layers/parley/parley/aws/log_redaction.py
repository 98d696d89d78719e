"""Keeps secrets and what users say out of the functions' logs, at every log level.

At DEBUG the libraries log headers, URLs and bodies of every call: API keys, the secret's value,
audio, text. Lambda's `ApplicationLogLevel` sets the root logger's level, and so theirs. Powertools
logs whole events, tokens included, if its variable says so.
"""

from __future__ import annotations

import logging
import os

LIBRARIES = ("boto3", "botocore", "urllib3", "httpx", "httpcore", "websockets", "asyncio")
LOG_EVENT = "POWERTOOLS_LOGGER_LOG_EVENT"


def keep_quiet() -> None:
    """Limit libraries to warnings and errors, and switch the logging of events off.

    Call it before handlers are decorated: Powertools reads its variable then.
    """
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ[LOG_EVENT] = "false"
