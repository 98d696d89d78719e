"""The providers' API keys, read from Secrets Manager and kept for some minutes."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from parley.aws.secrets_manager import SecretsManager
from parley.aws.service import CALLS, CallRules
from parley.clock import now_s

MAX_AGE_S = 300
"""How long a key is kept: a rotated key is in use after at most five minutes."""


class ApiKeys:
    """Reads the keys when they are needed.

    Args:
        secret_arn: ARN of a secret whose text is a JSON object of keys by name.
        max_age_s: how long a key that was read is used.
        rules: how Secrets Manager is called.
    """

    def __init__(
        self, secret_arn: str, max_age_s: int = MAX_AGE_S, rules: CallRules = CALLS
    ) -> None:
        self._secret_arn = secret_arn
        self._max_age_s = max_age_s
        self._client = SecretsManager(rules)
        self._lock = threading.Lock()
        self._secret: Any = None
        self._read_at_s = 0

    async def read(self, name: str, *, fresh: bool = False) -> str:
        """Return the key of this name; empty if the secret has none.

        White space around it is left out: whoever puts a key into the secret by hand brings a line
        break along, which no header may have.

        Args:
            fresh: read it again, also where one is kept.
        """
        return await asyncio.to_thread(self._read, name, fresh)

    def _read(self, name: str, fresh: bool) -> str:
        with self._lock:  # a turn's providers ask at the same time, and one call serves them all
            age_s = now_s() - self._read_at_s  # by a clock that no freeze stops
            if fresh or age_s >= self._max_age_s:
                found = self._client.get_secret_value(SecretId=self._secret_arn)
                self._secret = json.loads(found["SecretString"])
                self._read_at_s = now_s()
            secret = self._secret
        return str(secret.get(name) or "").strip() if isinstance(secret, dict) else ""
