"""The folder that keeps what a stack stores (`--db-path`): tables, and passwords that it has made.

Of secrets only those passwords are kept that the template has generated: the keys of a developer
are no business of a file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from samwire.template.model import Secret

DB_PATH = "SAMWIRE_DB_PATH"
"""The variable that tells moto's process of the folder; without it nothing is kept."""
GENERATED = "generated-secrets.json"


def keep_generated(folder: Path, secrets: Iterable[Secret]) -> tuple[list[Secret], str]:
    """Give secrets the generated passwords that they had before, and keep the new ones.

    Returns:
        the secrets, and a sentence on a file that could not be used; empty if it could.
    """
    file = folder / GENERATED
    known, notice = _known(file)
    kept = [_with_password(each, known.get(each.logical_id, "")) for each in secrets]
    made = {each.logical_id: each.generated for each in kept if each.generated}
    if made != known:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = file.with_name(f"{GENERATED}.{os.getpid()}")
        descriptor = os.open(written, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as output:
            json.dump({**known, **made}, output)
        written.replace(file)
    return kept, notice


def _known(file: Path) -> tuple[dict[str, str], str]:
    try:
        found = json.loads(file.read_text())
        if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()):
            return found, ""
    except FileNotFoundError:
        return {}, ""
    except ValueError:
        pass
    aside = file.with_name(f"{file.name}.{int(time.time())}")
    file.rename(aside)
    return {}, f"{file} cannot be used. It is now {aside.name}."


def _with_password(secret: Secret, password: str) -> Secret:
    """Replace a generated password by one of the same length: another one has other settings."""
    if secret.value is None or not password or len(password) != len(secret.generated):
        return secret
    value = secret.value.replace(secret.generated, password)
    return replace(secret, value=value, generated=password)
